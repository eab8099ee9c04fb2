"""The words of ranking: queries, hits, ranked lists, runs, and what a first stage is.

Two forms of one list: `Scored` (ordinals and scores as arrays) inside the engine, `RankedList`
(doc_ids) at its borders. Higher scores are better in both; ties stand in rising doc_id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import RankingError
from scisearch.index.stopwatch import Stopwatch

Ordinals = NDArray[np.int64]  # row numbers of documents in one open index
Scores = NDArray[np.float32]
Mask = NDArray[np.bool_]  # (n_docs,), true where a document may be returned
IdRank = NDArray[np.int32]  # (n_docs,), position of each document's doc_id in rising order

_HANDS = 8  # for each document wanted; see `_floor`


@dataclass(frozen=True, slots=True)
class Query:
    """One topic: the words of an information need."""

    query_id: str
    text: str


class Hit(NamedTuple):
    """A document and the score one stage gave it. Higher is better, always."""

    doc_id: str
    score: float


def _best_first(hit: Hit) -> tuple[float, str]:
    return (-hit.score, hit.doc_id)


@dataclass(frozen=True, slots=True)
class RankedList:
    """The hits of one query, best first.

    Scores fall, ties stand in rising doc_id, no document occurs twice. The constructor refuses
    anything else, so that no reader sorts or checks again. A rank is a position counted from 1.
    """

    query_id: str
    hits: tuple[Hit, ...]

    def __post_init__(self) -> None:
        """Check the order, the scores and the ids."""
        for hit in self.hits:
            if not isfinite(hit.score):
                raise RankingError(
                    f"query {self.query_id}: document {hit.doc_id} has score {hit.score},"
                    " expected a finite number"
                )
        for upper, lower in pairwise(self.hits):
            if _best_first(upper) > _best_first(lower):
                raise RankingError(
                    f"query {self.query_id}: {lower.doc_id} ({lower.score}) stands below"
                    f" {upper.doc_id} ({upper.score}); build the list with RankedList.from_scores"
                )
        if len({hit.doc_id for hit in self.hits}) != len(self.hits):
            raise RankingError(f"query {self.query_id}: a document occurs twice")

    @classmethod
    def from_scores(cls, query_id: str, scores: Mapping[str, float]) -> Self:
        """Rank the documents of one query by their scores."""
        hits = [Hit(doc_id, score) for doc_id, score in scores.items()]
        return cls(query_id, tuple(sorted(hits, key=_best_first)))

    def cut(self, cutoff: int) -> Self:
        """Keep the best `cutoff` hits."""
        return type(self)(self.query_id, self.hits[:cutoff])


Run = Mapping[str, RankedList]  # query_id -> its ranked list
Qrels = Mapping[str, Mapping[str, int]]  # query_id -> doc_id -> gain


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One stage's list for one query inside the engine: best first, ties in rising doc_id.

    `ordinals` is (n,) int64, `scores` is (n,) float32.
    """

    ordinals: Ordinals
    scores: Scores

    def __len__(self) -> int:
        """How many documents the list holds."""
        return len(self.ordinals)

    def cut(self, cutoff: int) -> "Scored":
        """Keep the best `cutoff` documents."""
        return Scored(self.ordinals[:cutoff], self.scores[:cutoff])


def rank(ordinals: NDArray[np.integer], scores: NDArray[np.floating], id_rank: IdRank) -> Scored:
    """Order documents by falling score, ties by rising doc_id. Scores are kept as float32."""
    scores32 = np.asarray(scores, dtype=np.float32)
    ordinals64 = np.asarray(ordinals, dtype=np.int64)
    order = np.lexsort((id_rank[ordinals64], -scores32))
    return Scored(ordinals64[order], scores32[order])


def top(scores: Scores, *, depth: int, id_rank: IdRank, above: float | None = None) -> Scored:
    """The best `depth` of a score for every document, ties at the cut resolved by rising doc_id.

    Two passes over the scores, however many of them are equal: numpy's partition, which takes far
    longer over equal values, sees only a few.

    Args:
        scores: (n_docs,) float32, one score for each ordinal.
        depth: how many to keep.
        id_rank: (n_docs,) int32.
        above: keep only scores strictly greater than this.
    """
    count = min(depth, len(scores))
    if count <= 0:
        return Scored(np.empty(0, np.int64), np.empty(0, np.float32))
    floor = _floor(scores, count)
    if above is not None and floor <= above:
        chosen = np.flatnonzero(scores > above)
    else:
        chosen = np.flatnonzero(scores >= floor)
    if len(chosen) > 4 * count:
        chosen = _with_few_ties(chosen, scores[chosen], count, id_rank)
    return rank(chosen, scores[chosen], id_rank).cut(depth)


def _floor(scores: Scores, count: int) -> float:
    """A number that at least `count` of the scores reach, and few more do.

    The scores are dealt into more than `count` hands; the best of each of the `count` best hands
    reaches the worst of these bests.
    """
    rows = len(scores) // (_HANDS * count)
    if rows < 2:
        bests = scores
    else:
        dealt = scores[: len(scores) // rows * rows].reshape(rows, -1)
        bests = dealt.max(axis=0)
    return float(np.partition(bests, len(bests) - count)[len(bests) - count])


def _with_few_ties(
    chosen: NDArray[np.intp], scores: Scores, count: int, id_rank: IdRank
) -> NDArray[np.intp]:
    """Of these ordinals, those of the best `count` scores; of a tie at the cut, the first ids."""
    worst = np.sort(scores)[len(scores) - count]
    better, tied = chosen[scores > worst], chosen[scores == worst]
    needed = count - len(better)
    if needed < len(tied):
        tied = tied[np.argpartition(id_rank[tied], needed - 1)[:needed]]
    return np.concatenate([better, tied])


def strictly_decreasing(scores: Scores) -> Scores:
    """Lower each score that does not fall to the next float32 below the one before it.

    No evaluation tool can then re-order the list: trec_eval sorts by score and breaks ties by
    doc_id descending, other tools by input order. Input best first, shape (n,).
    """
    out = np.array(scores, dtype=np.float32)
    for i in range(1, len(out)):
        if not out[i] < out[i - 1]:
            out[i] = np.nextafter(out[i - 1], np.float32(-np.inf))
    return out


class Retriever(Protocol):
    """A first stage over one open index."""

    def retrieve(
        self,
        queries: Sequence[str],
        *,
        depth: int,
        allowed: Mask | None = None,
        watch: Stopwatch | None = None,
    ) -> list[Scored]:
        """One list per query, in the order of the queries, of at most `depth` documents.

        With `allowed`, the answer is that of an index of only the allowed documents.
        """
        ...
