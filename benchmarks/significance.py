"""Is one system better than another on these queries, or is it chance: paired randomisation test.

Two-sided, on the difference of means, as Smucker, Allan and Carterette recommend for retrieval
(CIKM 2007, doi 10.1145/1321440.1321528); Holm's correction for several comparisons (Scandinavian
Journal of Statistics 6, 1979).
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

SEED = 20_071_106
SAMPLES = 100_000
# 2^16 sign patterns are fewer than the samples, so that the exact test is also the quicker one.
_EXACT_UP_TO = 16
_CHUNK_VALUES = 1 << 22  # signs held at once, 32 MB as float64


def permutation_p_values(
    differences: NDArray[np.float64], *, samples: int = SAMPLES, seed: int = SEED
) -> NDArray[np.float64]:
    """Two-sided p value of each column, (n_columns,): chance of a mean at least as far from 0.

    Under the null hypothesis the two systems could change names on any query, so each sign is as
    likely as the other. With at most 16 differences that are not 0 all sign patterns are counted;
    with more, `samples` random ones, p = (extreme + 1) / (samples + 1), which is never 0 (Phipson
    and Smyth 2010, doi 10.2202/1544-6115.1585). All columns see the same random signs.

    Args:
        differences: (n_queries, n_columns), a column for each comparison.
        samples: how many random sign patterns.
        seed: of the random signs.
    """
    differences = np.asarray(differences, dtype=np.float64)
    p_values = np.ones(differences.shape[1])
    counts = np.count_nonzero(differences, axis=0)
    for column in np.flatnonzero((counts > 0) & (counts <= _EXACT_UP_TO)):
        values = differences[:, column]
        p_values[column] = _exact_p_value(values[values != 0])
    many = np.flatnonzero(counts > _EXACT_UP_TO)
    if len(many):
        p_values[many] = _sampled_p_values(differences[:, many], samples, seed)
    return p_values


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Name -> p value adjusted so that the chance of any false claim among all stays below alpha.

    The i-th smallest of m, i from 0, is multiplied by m - i; an adjusted value is at least the one
    before it and at most 1.
    """
    adjusted: dict[str, float] = {}
    floor = 0.0
    for i, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        floor = max(floor, min(1.0, (len(p_values) - i) * p_values[name]))
        adjusted[name] = floor
    return {name: adjusted[name] for name in p_values}


def _exact_p_value(values: NDArray[np.float64]) -> float:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= _at_least(values)))


def _sampled_p_values(
    differences: NDArray[np.float64], samples: int, seed: int
) -> NDArray[np.float64]:
    limit = _at_least(differences)
    extreme = np.zeros(differences.shape[1], dtype=np.int64)
    for signs in _signs(samples, len(differences), seed):
        extreme += np.count_nonzero(np.abs(signs @ differences) >= limit, axis=0)
    return (extreme + 1) / (samples + 1)


def _at_least(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """The observed |sum| of each column, less what rounding can take from an equal sum."""
    rounding = 1e-12 * np.abs(differences).sum(axis=0)
    return np.asarray(np.abs(differences.sum(axis=0)) - rounding)


def _signs(samples: int, n_queries: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Rows of +1 and -1, in pieces that stay small, the same whatever the size of a piece."""
    generator = np.random.default_rng(seed)
    row_bytes = -(-n_queries // 8)
    rows = max(1, _CHUNK_VALUES // n_queries)
    for start in range(0, samples, rows):
        count = min(rows, samples - start)
        random_bytes = np.frombuffer(generator.bytes(count * row_bytes), dtype=np.uint8)
        bits = np.unpackbits(random_bytes.reshape(count, row_bytes), axis=1, count=n_queries)
        yield bits.astype(np.float64) * 2 - 1
