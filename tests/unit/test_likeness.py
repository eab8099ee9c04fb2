"""How alike documents are: the mean cosine of two, where the vectors are the default encoder's."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from scisearch.index.models import BUILT_IN, DEFAULT_BI_ENCODER
from scisearch.retrieval.likeness import mean_likeness

SHA256 = next(model.sha256 for model in BUILT_IN if model.name == DEFAULT_BI_ENCODER)


def with_vectors(vectors: np.ndarray, sha256: str = SHA256) -> Any:
    return SimpleNamespace(
        manifest=SimpleNamespace(encoder={"name": DEFAULT_BI_ENCODER, "sha256": sha256}),
        documents=range(len(vectors)),
        vectors_of=lambda ordinals: vectors[ordinals],
    )


def unit_rows(n: int, towards: float) -> np.ndarray:
    rows = np.random.default_rng(3).normal(size=(n, 16))
    rows[:, 0] += towards
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def test_likeness_is_the_mean_cosine_of_two_documents() -> None:
    rows = unit_rows(40, 3.0)
    cosines = (rows @ rows.T)[~np.eye(40, dtype=bool)]
    assert mean_likeness(with_vectors(rows)) == pytest.approx(cosines.mean(), abs=1e-6)
    assert cosines.mean() > 0.2
    many = unit_rows(20_000, 3.0)
    assert mean_likeness(with_vectors(many)) == pytest.approx(cosines.mean(), abs=0.05)
    assert mean_likeness(with_vectors(unit_rows(9000, 0.0))) == pytest.approx(0, abs=0.01)


def test_likeness_is_not_known_of_other_encoders_or_without_vectors() -> None:
    rows = unit_rows(40, 3.0)
    assert mean_likeness(with_vectors(rows, sha256="0" * 64)) is None
    assert mean_likeness(with_vectors(rows[:1])) is None
    without = with_vectors(rows)
    without.vectors_of = None
    assert mean_likeness(without) is None
