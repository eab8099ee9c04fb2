"""Calibration of scored pairs: what is kept with the model, and when there is none."""

from pathlib import Path

import numpy as np
import pytest

from scisearch.index.errors import TrainingError
from scisearch.rerank.calibration import Calibration, sigmoid
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.model_settings import (
    ModelSettings,
    read_model_settings,
    write_model_settings,
)
from scisearch.rerank.training.calibrate import calibrate_scores


def pairs(n_lists: int, size: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Logits four times too large for their labels."""
    draw = np.random.default_rng(1)
    logits = draw.normal(-2, 3, n_lists * size).astype(np.float32)
    labels = (draw.random(len(logits)) < sigmoid(logits / 4)).astype(np.int64)
    return logits, labels


def test_the_calibration_is_kept_beside_the_weight(tmp_path: Path) -> None:
    write_model_settings(tmp_path, ModelSettings(Interpolation(0.3, "logit")))
    logits, labels = pairs(200)
    report = calibrate_scores(tmp_path, logits, labels, [20] * 200, method="platt")
    kept = read_model_settings(tmp_path)
    assert kept.interpolation == Interpolation(0.3, "logit")
    assert kept.calibration == report.calibration.to_json()
    assert report.calibration.slope == pytest.approx(0.25, abs=0.03)
    assert report.after["equal-mass"].ece < report.before["equal-mass"].ece
    again = Calibration.from_json(kept.calibration, where="kept")
    assert np.array_equal(again.probabilities(logits), report.calibration.probabilities(logits))


def test_three_lists_are_too_few(tmp_path: Path) -> None:
    logits, labels = pairs(3)
    with pytest.raises(TrainingError, match="found 3 held-out lists, expected at least 4"):
        calibrate_scores(tmp_path, logits, labels, [20] * 3)
    assert read_model_settings(tmp_path).calibration is None
