import json
import math

import numpy as np
import pytest

from scisearch.index.errors import ModelError, TrainingError
from scisearch.rerank.calibration import (
    METHODS,
    Calibration,
    Method,
    fit_calibration,
    sigmoid,
)
from scisearch.rerank.reliability import reliability


def drawn(n: int, *, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that are 1 with probability sigmoid(slope * logit + intercept)."""
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 2, n)
    return logits, (generator.random(n) < sigmoid(slope * logits + intercept)).astype(np.int64)


def test_platt_finds_the_curve_that_the_labels_were_drawn_from() -> None:
    """A model trained with pos_weight 5 says ln 5 too much."""
    logits, labels = drawn(40_000, slope=0.7, intercept=-math.log(5))
    found = fit_calibration(logits, labels)
    assert found.slope == pytest.approx(0.7, abs=0.03)
    assert found.intercept == pytest.approx(-math.log(5), abs=0.05)
    assert found.n_pairs == 40_000
    assert found.positive_share == labels.mean()


def test_platt_is_the_minimum_that_scipy_finds() -> None:
    from scipy.optimize import minimize

    logits, labels = drawn(500, slope=1.5, intercept=0.4)
    positives = int(labels.sum())
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (502 - positives))

    def loss(weights: np.ndarray) -> float:
        scores = weights[0] * logits + weights[1]
        return float(np.sum(np.logaddexp(0, scores) - targets * scores))

    expected = minimize(loss, np.zeros(2), tol=1e-12).x
    found = fit_calibration(logits, labels)
    assert [found.slope, found.intercept] == pytest.approx(expected.tolist(), abs=1e-5)


def test_platt_of_separable_pairs_stays_finite_and_unsure() -> None:
    found = fit_calibration(np.array([-1.0, -2.0, 3.0, 4.0]), np.array([0, 0, 1, 1]))
    assert found.probabilities(np.array([4.0]))[0] == pytest.approx(0.75, abs=0.06)


def test_isotonic_pools_what_falls_by_hand() -> None:
    """1 at logit 1 stands above 0 at logit 2: they become one pool at 1.5 with share 1/2."""
    logits, labels = np.array([0.0, 1, 2, 3]), np.array([0, 1, 0, 1])
    found = fit_calibration(logits, labels, method="isotonic")
    assert found.points == ((0.0, 1 / 6), (1.5, 0.5), (3.0, 5 / 6))
    given = found.probabilities(np.array([-9, 0.75, 1.5, 9]))
    assert given.tolist() == pytest.approx([1 / 6, 1 / 3, 1 / 2, 5 / 6], abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_calibration_brings_an_overconfident_model_back(method: Method) -> None:
    logits, labels = drawn(20_000, slope=0.4, intercept=-1)
    held, asked = slice(0, 10_000), slice(10_000, None)
    found = fit_calibration(logits[held], labels[held], method=method)
    before = reliability(sigmoid(logits[asked]), labels[asked])
    after = reliability(found.probabilities(logits[asked]), labels[asked])
    assert before.ece > 0.1
    assert after.ece < 0.02
    assert after.brier < before.brier


@pytest.mark.parametrize("method", METHODS)
def test_through_json_nothing_changes(method: Method) -> None:
    found = fit_calibration(*drawn(200, slope=1, intercept=0), method=method)
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"method": "magic"}', r"m/scisearch.json: found .*magic"),
        ('{"method": "platt", "slope": 1}', r"expected a method \(platt or isotonic\)"),
        ('{"method": "platt", "slope": "1", "intercept": 0}', r"expected a method"),
        ('{"method": "platt", "slope": -1, "intercept": 0}', r"does not rise"),
        ('{"method": "platt", "slope": NaN, "intercept": 0}', r"does not rise"),
        ('{"method": "isotonic", "points": [[0, 1], [1, 0]]}', r"does not rise"),
        ('{"method": "isotonic", "points": []}', r"does not rise"),
        ('{"method": "isotonic", "points": [[0]]}', r"expected a method"),
        ("5", r"found 5, expected a method"),
    ],
)
def test_a_broken_calibration_is_named(content: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Calibration.from_json(json.loads(content), where="m/scisearch.json")


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([1.0, 2.0], [1], r"found 2 logits and 1 labels"),
        ([1.0, 2.0], [0, 2], r"found label 2, expected 0 or 1"),
        ([1.0, 2.0], [1, 1], r"2 of 2 held-out pairs are relevant; expected both kinds"),
        ([1.0, 2.0], [0, 0], r"0 of 2 held-out pairs are relevant; expected both kinds"),
        ([1.0, math.nan], [0, 1], r"a logit that is not finite"),
        ([2.0, 1.0], [0, 1], r"do not rise with relevance"),
        ([1.0, 1.0], [0, 1], r"do not rise with relevance"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_pairs_that_cannot_be_fitted_are_refused(
    logits: list[float], labels: list[int], message: str, method: Method
) -> None:
    with pytest.raises(TrainingError, match=message):
        fit_calibration(np.array(logits), np.array(labels), method=method)


def test_no_logit_is_certain() -> None:
    probabilities = Calibration("platt").probabilities(np.array([-1e6, 0, 1e6]))
    assert probabilities.dtype == np.float32
    assert 0 < probabilities[0] < 1e-5
    assert 1 - 1e-5 < probabilities[2] < 1
