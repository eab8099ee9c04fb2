"""How sure a first stage is of its scores: the sharpness of the softmax that fits best.

Numbers only; knows nothing of texts, files or models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARPEST = 50.0  # a first stage that is always right would have no finite one
_FEWEST = 20  # lists of a kind; with fewer it has the sharpness of all lists together


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRow:
    """A relevant text, then irrelevant ones, as the first stage scored them.

    `scores` (n,) in [0, 1]; `corrections` (n,) = -ln of each text's inclusion rate, first 0.
    """

    scores: NDArray[np.float64]
    corrections: NDArray[np.float64]
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Sharpness:
    """The sharpness of all lists, and of each kind of query that has lists enough."""

    overall: float
    by_kind: Mapping[str, float]

    def of(self, kind: str | None) -> float:
        """The kind's own, or that of all."""
        return self.overall if kind is None else self.by_kind.get(kind, self.overall)


def fit_by_kind(rows: Sequence[ScoredRow]) -> Sharpness:
    """The sharpness of all rows, and of each kind with at least 20; `rows` is not empty."""
    of_kind: dict[str, list[ScoredRow]] = {}
    for row in rows:
        if row.kind is not None:
            of_kind.setdefault(row.kind, []).append(row)
    by_kind = {
        kind: fit_sharpness(found)
        for kind, found in sorted(of_kind.items())
        if len(found) >= _FEWEST
    }
    return Sharpness(fit_sharpness(rows), by_kind)


def fit_sharpness(rows: Sequence[ScoredRow]) -> float:
    """The a in [0, SHARPEST] that makes the relevant texts most likely; `rows` is not empty.

    The likelihood of a row is softmax(a * scores + corrections) at its first place. Its logarithm
    is concave in a, so that the root of the derivative is the maximum; it is found by bisection.
    """
    longest = max(len(row.scores) for row in rows)
    scores = np.zeros((len(rows), longest))
    corrections = np.full((len(rows), longest), -np.inf)  # what is no text has no share
    for place, row in enumerate(rows):
        scores[place, : len(row.scores)] = row.scores
        corrections[place, : len(row.scores)] = row.corrections

    def slope(sharpness: float) -> float:
        exponents = sharpness * scores + corrections
        shares = np.exp(exponents - exponents.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return float(np.mean(scores[:, 0] - (shares * scores).sum(axis=1)))

    low, high = 0.0, SHARPEST
    if slope(low) <= 0:
        return low
    if slope(high) >= 0:
        return high
    for _ in range(40):  # the interval shrinks to 5e-11
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2
