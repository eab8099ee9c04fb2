"""How far ties can move a measure: nDCG with tied documents in their best and worst order."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import fsum, log2

from scisearch.retrieval.ranking import Hit, Qrels, Run


def tied_hits(hits: Sequence[Hit]) -> int:
    """How many hits share their score with another hit of the list."""
    sizes = (len(list(group)) for _, group in groupby(hits, key=lambda hit: hit.score))
    return sum(size for size in sizes if size > 1)


def ndcg_interval(run: Run, qrels: Qrels, *, cutoff: int) -> tuple[float, float]:
    """Least and greatest mean nDCG@cutoff that any order of tied documents can give.

    Within a tie the worst order is that of rising gains and the best that of falling ones: both
    hold for the sum of gain / log2(1 + rank) by the rearrangement inequality. The mean is over the
    queries of `qrels`; one that the run lacks counts as 0.
    """
    worst: list[float] = []
    best: list[float] = []
    for query_id, gains in qrels.items():
        hits = run[query_id].hits if query_id in run else ()
        worst.append(_ndcg(_tied_gains(hits, gains, best=False), gains, cutoff))
        best.append(_ndcg(_tied_gains(hits, gains, best=True), gains, cutoff))
    return fsum(worst) / len(worst), fsum(best) / len(best)


def _tied_gains(hits: Sequence[Hit], gains: Mapping[str, int], *, best: bool) -> list[int]:
    ordered: list[int] = []
    for _, group in groupby(hits, key=lambda hit: hit.score):
        ordered.extend(sorted((gains.get(hit.doc_id, 0) for hit in group), reverse=best))
    return ordered


def _ndcg(found: Sequence[int], gains: Mapping[str, int], cutoff: int) -> float:
    """NDCG with linear gains, Järvelin and Kekäläinen 2002, doi 10.1145/582415.582418."""
    ideal = dcg(sorted(gains.values(), reverse=True)[:cutoff])
    return dcg(found[:cutoff]) / ideal if ideal else 0.0


def dcg(gains: Iterable[int]) -> float:
    """The sum of gain / log2(1 + rank), ranks from 1; a negative gain counts as 0."""
    return fsum(max(gain, 0) / log2(1 + rank) for rank, gain in enumerate(gains, start=1))
