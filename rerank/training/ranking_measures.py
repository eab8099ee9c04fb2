"""nDCG@10 and average precision of scored lists, for the choice of an epoch.

The reports use ir_measures (benchmarks/); tests/golden holds these two to it. Binary relevance.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_CUTOFF = 10


class ListMeasures(NamedTuple):
    """The means over lists."""

    ndcg: float  # nDCG@10
    average_precision: float  # MAP


def measure_lists(
    scores: Sequence[NDArray[np.floating]], relevant: Sequence[NDArray[np.bool_]]
) -> ListMeasures:
    """Mean nDCG@10 and MAP over lists; each array is (n,), at least one text of each is relevant.

    Among equal scores the irrelevant come first, so that a model that scores everything alike
    gains nothing from the order of its input.
    """
    ranked = [
        judged[np.lexsort((judged, -np.asarray(own, np.float64)))]
        for own, judged in zip(scores, relevant, strict=True)
    ]
    return ListMeasures(
        float(np.mean([ndcg(one) for one in ranked])),
        float(np.mean([average_precision(one) for one in ranked])),
    )


def ndcg(ranked: NDArray[np.bool_]) -> float:
    """nDCG@10 of one list from its relevance in rank order, (n,).

    DCG@10 = sum of rel_i / log2(i + 1) over ranks i = 1..10, divided by that of the best order.
    Järvelin & Kekäläinen 2002, https://doi.org/10.1145/582415.582418
    """
    discounts = 1 / np.log2(np.arange(2, _CUTOFF + 2))
    head = ranked[:_CUTOFF]
    best = discounts[: min(_CUTOFF, int(ranked.sum()))].sum()
    return float((head * discounts[: len(head)]).sum() / best)


def average_precision(ranked: NDArray[np.bool_]) -> float:
    """The mean of the precisions at the ranks of the relevant texts; (n,) in rank order."""
    ranks = np.flatnonzero(ranked) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())
