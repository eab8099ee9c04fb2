"""What a logit is worth: probabilities of relevance fitted on lists that training did not see.

Platt's sigmoid with its smoothed targets (Platt 1999; solved by Newton's method as in Lin, Lin and
Weng, doi 10.1007/s10994-007-5018-6), and isotonic regression by pooling adjacent violators.
A probability is that of the lists it was fitted on: where relevant texts are rarer, it is too high.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ModelError, TrainingError

Method = Literal["platt", "isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)

_CLOSEST = 1e-6  # how near a probability comes to 0 and 1; float32 can tell it from both
_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Calibration:
    """The probability of relevance as a function of the logit that never falls.

    `platt`: sigmoid(slope * logit + intercept); the temperature is 1 / slope.
    `isotonic`: straight lines between the points (logit, probability), constant outside them.
    """

    method: Method
    slope: float = 1.0
    intercept: float = 0.0
    points: tuple[tuple[float, float], ...] = ()
    n_pairs: int = 0  # it was fitted on so many
    positive_share: float = 0.0  # of them, 0 to 1

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """A probability for each logit, float32 in (0, 1), shape as given."""
        values = np.asarray(logits, dtype=np.float64)
        if self.method == "platt":
            found = sigmoid(self.slope * values + self.intercept)
        else:
            places, heights = np.array(self.points, dtype=np.float64).T
            found = np.interp(values, places, heights)
        return np.clip(found, _CLOSEST, 1 - _CLOSEST).astype(np.float32)

    def to_json(self) -> dict[str, object]:
        """The calibration as JSON values."""
        content: dict[str, object] = {"method": self.method}
        if self.method == "platt":
            content |= {"slope": self.slope, "intercept": self.intercept}
        else:
            content["points"] = [list(point) for point in self.points]
        return {**content, "n_pairs": self.n_pairs, "positive_share": self.positive_share}

    @classmethod
    def from_json(cls, content: object, *, where: str = "calibration") -> Self:
        """The calibration that `to_json` wrote; messages start with `where`.

        Raises:
            ModelError: it is none, or would fall somewhere.
        """
        try:
            made = cls._from_mapping(_mapping(content))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(
                f"{where}: found {_shown(content)}, expected a method ({' or '.join(METHODS)})"
                " with its numbers; fit it again with `search train`"
            ) from error
        if not made.rises():
            raise ModelError(
                f"{where}: found a {made.method} calibration that does not rise with the logit,"
                " expected one that does; fit it again with `search train`"
            )
        return made

    def rises(self) -> bool:
        """Whether all numbers are finite, and a higher logit never has a lower probability."""
        points = np.array(self.points, dtype=np.float64).reshape(-1, 2)
        numbers = np.array([self.slope, self.intercept, *points.ravel()])
        if not np.isfinite(numbers).all():
            return False
        if self.method == "platt":
            return self.slope > 0
        steps = np.diff(points, axis=0)
        return len(points) > 0 and bool((steps[:, 0] > 0).all() and (steps[:, 1] >= 0).all())

    @classmethod
    def _from_mapping(cls, content: Mapping[str, object]) -> Self:
        method = content["method"]
        if method not in METHODS:
            raise ValueError(method)
        counts = (
            int(_number(content.get("n_pairs", 0))),
            _number(content.get("positive_share", 0)),
        )
        if method == "platt":
            slope, intercept = _number(content["slope"]), _number(content["intercept"])
            return cls("platt", slope, intercept, (), *counts)
        points = content["points"]
        if not isinstance(points, list):
            raise TypeError(points)
        pairs = tuple((_number(logit), _number(probability)) for logit, probability in points)
        return cls("isotonic", 1.0, 0.0, pairs, *counts)


def fit_calibration(
    logits: NDArray[np.floating], labels: NDArray[np.integer], *, method: Method = "platt"
) -> Calibration:
    """The calibration of these pairs; equal input gives equal numbers.

    Args:
        logits: (n,), of pairs that training did not see.
        labels: (n,), 1 where the text is relevant, else 0.
        method: `platt` has two numbers and suits few pairs; `isotonic` follows any rising curve and
            wants thousands.

    Raises:
        TrainingError: other lengths, a label that is not 0 or 1, one class only, a logit that is
            not finite, or logits that do not rise with relevance.
    """
    scores = np.asarray(logits, dtype=np.float64)
    _check(scores, np.asarray(labels))
    relevant = np.asarray(labels, dtype=np.float64)
    counts = (len(scores), float(relevant.mean()))
    if method == "platt":
        slope, intercept = _platt(scores, relevant)
        made = Calibration("platt", slope, intercept, (), *counts)
    else:
        made = Calibration("isotonic", 1.0, 0.0, _isotonic(scores, relevant), *counts)
    if not made.rises() or len(made.points) == 1:
        raise TrainingError(
            f"calibration: the logits of {len(scores)} held-out pairs do not rise with relevance;"
            " expected a model that ranks better than chance"
        )
    return made


def sigmoid(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 / (1 + e^-x) without overflow, float64."""
    small = np.exp(-np.abs(np.asarray(values, dtype=np.float64)))
    return np.where(np.asarray(values) >= 0, 1 / (1 + small), small / (1 + small))


def _check(logits: NDArray[np.float64], labels: NDArray[np.integer]) -> None:
    if logits.shape != labels.shape or logits.ndim != 1:
        raise TrainingError(
            f"calibration: found {logits.size} logits and {labels.size} labels, expected as many"
        )
    if not np.isin(labels, (0, 1)).all():
        bad = labels[~np.isin(labels, (0, 1))][0]
        raise TrainingError(f"calibration: found label {bad}, expected 0 or 1")
    if not 0 < int(labels.sum()) < len(labels):
        raise TrainingError(
            f"calibration: {int(labels.sum())} of {len(labels)} held-out pairs are relevant;"
            " expected both kinds"
        )
    if not np.isfinite(logits).all():
        raise TrainingError("calibration: found a logit that is not finite; the weights are broken")


def _platt(logits: NDArray[np.float64], relevant: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and intercept: Newton steps on standardised logits, halved while they do not help."""
    centre, spread = logits.mean(), logits.std() or 1.0
    inputs = np.stack([(logits - centre) / spread, np.ones_like(logits)], axis=1)
    positives = relevant.sum()
    high, low = (positives + 1) / (positives + 2), 1 / (len(relevant) - positives + 2)
    targets = np.where(relevant == 1, high, low)
    weights = np.array([0.0, np.log((positives + 1) / (len(relevant) - positives + 1))])
    loss = _log_loss(inputs @ weights, targets)
    for _ in range(_ROUNDS):
        found = sigmoid(inputs @ weights)
        gradient = inputs.T @ (found - targets)
        curvature = (inputs * (found * (1 - found))[:, None]).T @ inputs + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        moved = weights - step
        while (better := _log_loss(inputs @ moved, targets)) > loss and np.abs(step).max() > 1e-12:
            step = step / 2
            moved = weights - step
        if better > loss or np.abs(moved - weights).max() < 1e-10:
            break
        weights, loss = moved, better
    slope = weights[0] / spread
    return float(slope), float(weights[1] - slope * centre)


def _log_loss(logits: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    return float(np.sum(np.logaddexp(0, logits) - targets * logits))


def _isotonic(
    logits: NDArray[np.float64], relevant: NDArray[np.float64]
) -> tuple[tuple[float, float], ...]:
    """One point for each pool of logits: their mean, and their share of relevant pairs.

    Shares of 0 and 1 are moved inside by one pair in n + 2 (Laplace), so that nothing is certain.
    """
    places, inverse, counts = np.unique(logits, return_inverse=True, return_counts=True)
    positives = np.bincount(inverse, weights=relevant)
    pools: list[tuple[float, float, float]] = []  # pairs, positives, sum of logits
    for place, count, positive in zip(places, counts, positives, strict=True):
        pool = (float(count), float(positive), float(place * count))
        while pools and pools[-1][1] * pool[0] >= pool[1] * pools[-1][0]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    least = 1 / (len(logits) + 2)
    return tuple(
        (total / n, min(max(positive / n, least), 1 - least)) for n, positive, total in pools
    )


def _mapping(content: object) -> Mapping[str, object]:
    if not isinstance(content, dict):
        raise TypeError(content)
    return content


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return float(value)


def _shown(content: object) -> str:
    text = json.dumps(content)
    return text if len(text) <= 60 else text[:60] + "…"
