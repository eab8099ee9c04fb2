"""How far a mean over queries could move with other queries: percentile bootstrap intervals."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.significance import SEED

RESAMPLES = 10_000
_CHUNK_VALUES = 1 << 22  # weights held at once, 32 MB as float64


def bootstrap_intervals(
    values: NDArray[np.float64],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> NDArray[np.float64]:
    """Lower and upper bound of each column's mean, (n_columns, 2), by the percentile method.

    Queries are drawn with replacement, the same ones for all columns, so that a column of paired
    differences gets a paired interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: (n_queries, n_columns).
        confidence: the share of resampled means that lies inside.
        resamples: how many sets of queries are drawn.
        seed: of the draws.
    """
    values = np.asarray(values, dtype=np.float64)
    means = np.concatenate(
        [weights @ values for weights in _weights(len(values), resamples, seed)]
    ) / len(values)
    tail = (1 - confidence) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0).T


def _weights(n_queries: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each query was drawn, (rows, n_queries), in pieces that stay small."""
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK_VALUES // n_queries)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = generator.integers(0, n_queries, size=(count, n_queries))
        drawn += np.arange(count)[:, np.newaxis] * n_queries
        counts = np.bincount(drawn.ravel(), minlength=count * n_queries)
        yield counts.reshape(count, n_queries).astype(np.float64)
