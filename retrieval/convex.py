"""Fuse the lists of several first stages by a convex combination of their min-max scores."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError
from scisearch.retrieval.ranking import IdRank, Scored, rank


def min_max(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scores moved to [0, 1]: the best 1, the worst 0; all 1 where they are equal. Shape (n,)."""
    if not len(scores):
        return np.empty(0, np.float64)
    values = np.asarray(scores, dtype=np.float64)
    low, high = values.min(), values.max()
    return np.ones_like(values) if low == high else (values - low) / (high - low)


def convex(lists: Sequence[Scored], weights: Sequence[float], id_rank: IdRank) -> Scored:
    """Fuse the lists of one query: score(d) = sum over lists of weight * min-max score of d.

    A list without d adds nothing. Bruch, Gai and Ingber, "An Analysis of Fusion Functions for
    Hybrid Retrieval", TOIS 42(1), 2023, doi:10.1145/3596512. Scores are in [0, sum of weights].

    Raises:
        ConfigError: the weights are not one for each list, or one is negative.
    """
    if len(lists) != len(weights) or min(weights, default=0.0) < 0:
        raise ConfigError(
            f"fusion of {len(lists)} lists with weights {list(weights)};"
            " expected one weight of at least 0 for each list"
        )
    parts = [(one.ordinals, w * min_max(one.scores)) for one, w in zip(lists, weights, strict=True)]
    return rank(*add_scores(parts), id_rank)


def add_scores(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The distinct ordinals of all parts, rising, and for each the sum of its scores (float64).

    Each document's scores are added in rising order, so that the order of the parts cannot change
    a sum by a rounding error.
    """
    ordinals = (
        np.concatenate([ordinals for ordinals, _ in parts]) if parts else np.empty(0, np.int64)
    )
    scores = np.concatenate([scores for _, scores in parts]) if parts else np.empty(0)
    order = np.lexsort((scores, ordinals))
    distinct, inverse = np.unique(ordinals[order], return_inverse=True)
    totals = np.zeros(len(distinct), np.float64)
    np.add.at(totals, inverse, scores[order])
    return distinct.astype(np.int64), totals
