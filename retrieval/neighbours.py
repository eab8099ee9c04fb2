"""What resembles good candidates is good: scores of one query drawn towards those of neighbours.

Knows scores and vectors; not where they come from.
"""

import numpy as np
from numpy.typing import NDArray

from scisearch.retrieval.convex import min_max

# Chosen together with the default weight on dev collections, see benchmarks/LOG.md.
NEAREST = 20  # neighbours of a candidate
AMONG = 50  # they are of the best so many candidates
_SHARPNESS = 4  # power of the cosine: a near neighbour counts for much more than a far one


def smoothed(
    scores: NDArray[np.floating], vectors: NDArray[np.float32], weight: float
) -> NDArray[np.float64]:
    """(1 - weight) * score + weight * mean score of the nearest candidates, (n,) float64.

    The mean is over the 20 candidates of the best 50 with the highest cosine, itself left out,
    weighed by cosine^4 (0 where it is negative), and moved to the span of the scores by min-max. It
    is a step of score regularization: Diaz, "Regularizing ad hoc retrieval scores", CIKM 2005,
    doi:10.1145/1099554.1099722.

    Args:
        scores: of one query's candidates, best first, (n,).
        vectors: of the same documents, unit rows, (n, dimension).
        weight: 0 to 1.
    """
    values = np.asarray(scores, np.float64)
    if len(values) < 3 or weight == 0:
        return values
    best = min(AMONG, len(values))
    rows = vectors.astype(np.float64)
    cosines = rows @ rows[:best].T
    np.fill_diagonal(cosines, -1)
    k = min(NEAREST, best - 1)
    nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    weights = np.maximum(np.take_along_axis(cosines, nearest, axis=1), 0) ** _SHARPNESS
    sums = weights.sum(axis=1)
    low, high = values.min(), values.max()
    means = (weights * values[nearest]).sum(axis=1) / np.where(sums > 0, sums, 1)
    means[sums == 0] = low
    drawn: NDArray[np.float64] = (1 - weight) * values
    drawn += weight * (low + (high - low) * min_max(means))
    return drawn
