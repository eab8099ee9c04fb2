"""A tiny cross-encoder of random weights, calibrated on lists that it happens to rank well."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from scisearch.index.errors import TrainingError
from scisearch.rerank.calibration import METHODS, Calibration
from scisearch.rerank.cross_encoder import TorchCrossEncoder
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.model_settings import (
    ModelSettings,
    read_model_settings,
    write_model_settings,
)
from scisearch.rerank.training.calibrate import calibrate_model, calibration_markdown
from scisearch.rerank.training.lists import RerankingList

pytestmark = pytest.mark.slow

WORDS = ("gene", "protein", "folding", "attention", "query", "beta", "cells", "vectors", "mice")


@pytest.fixture
def model(tiny_cross_encoder: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_cross_encoder, tmp_path / "model")
    return tmp_path / "model"


def lists_of(model: Path, *, turned: bool = False) -> list[RerankingList]:
    """For each query the two texts that the model likes best (or least) as the positives."""
    texts = [f"{a} {b}" for a, b in zip(WORDS, WORDS[3:] + WORDS[:3], strict=True)]
    encoder = TorchCrossEncoder(model, texts=lambda o: [texts[int(i)] for i in o], device="cpu")
    scores = encoder.score(WORDS, [np.arange(len(texts), dtype=np.int64)] * len(WORDS))
    found = []
    for word, logits in zip(WORDS, scores.logits, strict=True):
        ordered = [texts[i] for i in np.argsort(logits if turned else -logits)]
        found.append(RerankingList(word, tuple(ordered[:2]), tuple(ordered[2:])))
    return found


def test_the_calibration_is_kept_beside_the_weights(model: Path) -> None:
    write_model_settings(model, ModelSettings(Interpolation(0.3)))
    report = calibrate_model(model, lists_of(model), device="cpu")
    settings = read_model_settings(model)
    assert settings.interpolation == Interpolation(0.3)
    assert Calibration.from_json(settings.calibration) == report.calibration
    assert report.calibration.n_pairs == 81
    assert report.calibration.positive_share == pytest.approx(2 / 9)
    assert report.after["equal-mass"].brier < report.before["equal-mass"].brier
    assert calibrate_model(model, lists_of(model), device="cpu") == report
    text = calibration_markdown(report)
    assert text.splitlines()[0] == "| | Brier | ECE (equal mass) | ECE (equal width) |"
    assert "fitted on 81 pairs of 9 held-out lists, 22.2% of them relevant" in text


@pytest.mark.parametrize("method", METHODS)
def test_a_method_may_be_asked_for(model: Path, method: str) -> None:
    report = calibrate_model(model, lists_of(model), method=method, device="cpu")  # type: ignore[arg-type]
    assert report.calibration.method == method
    assert report.to_json()["lists"] == 9


def test_a_model_that_ranks_worse_than_chance_is_not_calibrated(model: Path) -> None:
    with pytest.raises(TrainingError, match=r"do not rise with relevance"):
        calibrate_model(model, lists_of(model, turned=True), method="platt", device="cpu")
    assert read_model_settings(model).calibration is None


def test_too_few_lists_are_refused(model: Path) -> None:
    with pytest.raises(TrainingError, match=r"found 3 held-out lists, expected at least 4"):
        calibrate_model(model, lists_of(model)[:3], device="cpu")
