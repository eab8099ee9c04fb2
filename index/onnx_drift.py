"""How far one form of a model is from another: may it take the other's place?

Rankings are compared by Kendall's tau-b (1945, doi:10.1093/biomet/33.3.239) and by how many of the
ten best they share; vectors by their cosine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEAST_TAU = 0.92  # mean over lists of 20
LEAST_OVERLAP = 0.93  # mean share of the ten best that both have
LEAST_COSINE = 0.99  # of the worst text
_TOP = 10


@dataclass(frozen=True, slots=True)
class Drift:
    """The measures, whether they keep their bounds, and both in words."""

    measures: Mapping[str, float]
    accepted: bool
    words: str


def ranking_drift(expected: Floats, found: Floats) -> Drift:
    """The drift of scores, each (n_lists, n_documents)."""
    if not np.isfinite(found).all():
        return Drift({}, False, "scores that are no numbers")
    pairs = list(zip(expected, found, strict=True))
    tau = float(np.mean([_tau(one, other) for one, other in pairs]))
    overlap = float(np.mean([_overlap(one, other) for one, other in pairs]))
    return Drift(
        {"kendall_tau": tau, "top_10_overlap": overlap},
        tau >= LEAST_TAU and overlap >= LEAST_OVERLAP,
        f"Kendall's tau {tau:.3f} (at least {LEAST_TAU}), top-10 overlap {overlap:.3f} (at least"
        f" {LEAST_OVERLAP}) on {len(pairs)} lists of {expected.shape[1]}",
    )


def vector_drift(expected: Floats, found: Floats) -> Drift:
    """The drift of unit vectors, each (n_texts, dimension)."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return Drift({}, False, "vectors that are no numbers, or of another length")
    cosines = np.einsum("ij,ij->i", expected, found)
    worst = float(cosines.min())
    return Drift(
        {"least_cosine": worst, "mean_cosine": float(cosines.mean())},
        worst >= LEAST_COSINE,
        f"cosine {worst:.4f} of the worst of {len(cosines)} texts (at least {LEAST_COSINE})",
    )


def _tau(one: Floats, other: Floats) -> float:
    from scipy.stats import kendalltau

    found: Any = kendalltau(one, other)  # of a type that its stubs do not tell
    return float(found.statistic)


def _overlap(one: Floats, other: Floats) -> float:
    tops = [set(np.argsort(-scores, kind="stable")[:_TOP].tolist()) for scores in (one, other)]
    return len(tops[0] & tops[1]) / len(tops[0])
