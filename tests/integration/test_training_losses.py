"""Each loss of `search train` is its formula, on tiny models."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scisearch.index.errors import TrainingError
from scisearch.rerank.training.sharpness import ScoredRow, fit_sharpness
from scisearch.rerank.training.train import train
from scisearch.tests.toy_training import (
    ON_CPU,
    scored_data,
    tiny,
    toy_data,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("loss", ["listwise", "lambda", "margin-mse"])
def test_the_other_losses(loss: Any, tiny_cross_encoder: Path, tmp_path: Path) -> None:
    teacher = str(tiny_cross_encoder) if loss == "margin-mse" else None
    recipe = tiny(tiny_cross_encoder, loss=loss, teacher=teacher, list_size=4, epochs=1)
    report = train(toy_data(), tmp_path / "m", recipe, ON_CPU)
    assert len(report.epochs) == 2
    if teacher is not None:  # the base is its own teacher
        assert report.epochs[0].validation_loss == pytest.approx(0, abs=1e-6)


def test_the_residual_loss_is_the_formula_on_all_validation_lists(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    recipe = tiny(tiny_cross_encoder, loss="residual", list_size=4, epochs=1, precision="float32")
    data = scored_data()
    report = train(data, tmp_path / "m", recipe, ON_CPU)
    pairs = [(one.query, text) for one in data.validation for text in one.texts]
    logits = CrossEncoder(str(tmp_path / "m"), device="cpu").predict(pairs).reshape(-1, 4)
    scores, corrections = np.array([0.75, 0.0, 0.5, 1.0]), np.log([1, 2, 2, 2])
    sharpness = fit_sharpness([ScoredRow(scores, corrections)])
    assert (
        f"sharpness of the first stage, by maximum likelihood: {sharpness:.1f}" in report.notes[0]
    )
    assert 0.1 < sharpness < 5
    exponents = logits.astype(np.float64) + 0.7 * sharpness * scores + corrections
    by_hand = np.log(np.exp(exponents).sum(axis=1)) - exponents[:, 0]
    assert report.epochs[1].validation_loss == pytest.approx(by_hand.mean(), abs=1e-4)
    assert "the fused score left out on 40% of the lists" in (tmp_path / "m/README.md").read_text()
    with pytest.raises(TrainingError, match="has no first-stage scores, which loss residual lear"):
        train(toy_data(), tmp_path / "n", recipe, ON_CPU)


def test_the_soft_loss_is_the_formula_on_all_validation_lists(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    recipe = tiny(tiny_cross_encoder, loss="soft", label_share=0.75, list_size=4, epochs=1)
    recipe = replace(recipe, precision="float32")
    data = scored_data()
    report = train(data, tmp_path / "m", recipe, ON_CPU)
    pairs = [(one.query, text) for one in data.validation for text in one.texts]
    logits = CrossEncoder(str(tmp_path / "m"), device="cpu").predict(pairs).reshape(-1, 4)
    scores, corrections = np.array([0.75, 0.0, 0.5, 1.0]), np.log([1, 2, 2, 2])
    first = np.exp(fit_sharpness([ScoredRow(scores, corrections)]) * scores + corrections)
    targets = 0.25 * first / first.sum() + [0.75, 0, 0, 0]
    exponents = logits.astype(np.float64) + corrections
    by_hand = np.log(np.exp(exponents).sum(axis=1)) - exponents @ targets
    assert report.epochs[1].validation_loss == pytest.approx(by_hand.mean(), abs=1e-4)
    assert "a target that is 75% the judgements" in (tmp_path / "m/README.md").read_text()


def test_bce_is_the_weighed_cross_entropy_of_all_validation_pairs(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    data = toy_data()
    recipe = tiny(tiny_cross_encoder, epochs=1, precision="float32")
    train(data, tmp_path / "m", recipe, ON_CPU)
    pairs = [(one.query, text) for one in data.validation for text in one.texts]
    labels = np.concatenate([[1, 0, 0, 0] for _ in data.validation])
    logits = CrossEncoder(str(tmp_path / "m"), device="cpu").predict(pairs).astype(np.float64)
    losses = np.logaddexp(0, -logits) * labels * 5 + np.logaddexp(0, logits) * (1 - labels)
    report = json.loads((tmp_path / "m" / "training.json").read_text())
    assert report["epochs"][1]["validation_loss"] == pytest.approx(losses.mean(), abs=1e-4)
