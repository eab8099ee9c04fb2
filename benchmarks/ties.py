"""How far ties can move a measure: tied documents in their best and in their worst order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import fsum, log2

import numpy as np

from scisearch.retrieval.ranking import Hit, Qrels, RankedList, Run


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


def written_ties(hits: Sequence[Hit]) -> Iterator[list[Hit]]:
    """The hits in groups of ties, most of one hit, as our run files hold them.

    `strictly_decreasing` writes a tie as scores one float32 step apart. Scores that were one step
    apart before count as tied too: they are no further apart than float noise.
    """
    group: list[Hit] = []
    for hit in hits:
        if group and not _one_step(group[-1].score, hit.score):
            yield group
            group = []
        group.append(hit)
    if group:
        yield group


def ties_reordered(run: Run, qrels: Qrels, *, best: bool) -> tuple[dict[str, RankedList], int]:
    """The judged queries with the ties of `written_ties` in the best or worst order for measures.

    Best is relevant documents by falling gain, then those judged not relevant, then the others:
    that no order gives a higher nDCG, precision, reciprocal rank, average precision, recall or
    share of judged documents, and the reverse no lower one. Also: how many hits are tied. Scores
    of the lists are places.
    """
    lists: dict[str, RankedList] = {}
    tied = 0
    for query_id, gains in qrels.items():
        hits = run[query_id].hits if query_id in run else ()
        ordered: list[str] = []
        for group in written_ties(hits):
            tied += len(group) if len(group) > 1 else 0
            worth = {hit.doc_id: _worth(hit.doc_id, gains) for hit in group}
            ordered += sorted(worth, key=worth.__getitem__, reverse=best)
        places = {doc_id: float(len(ordered) - i) for i, doc_id in enumerate(ordered)}
        lists[query_id] = RankedList.from_scores(query_id, places)
    return lists, tied


def _one_step(upper: float, lower: float) -> bool:
    above = np.float32(upper)
    return bool(np.float32(lower) >= np.nextafter(above, np.float32(-np.inf)))


def _worth(doc_id: str, gains: Mapping[str, int]) -> tuple[int, bool]:
    return max(gains.get(doc_id, 0), 0), doc_id in gains


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
