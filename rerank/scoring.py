"""Candidates in, one logit each out: the part of reranking that is the same for every runtime."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scisearch.index.stopwatch import Stopwatch
from scisearch.index.tokens import TokenRows
from scisearch.rerank.batches import Batch, PairParts, fill_batch, plan_batches
from scisearch.rerank.document_tokens import DocumentTokens
from scisearch.rerank.pair_model import PairModel
from scisearch.rerank.passages import LongDocuments, Passages, best_passages, pair_passages
from scisearch.rerank.truncation import Truncation
from scisearch.retrieval.ranking import Ordinals

ASSEMBLE, FORWARD = "assemble pairs", "cross-encoder"  # the stopwatch's stages

# Queries are taken together until they have so many pairs: enough to fill batches with pairs of
# like length, few enough that a run of thousands of topics needs little memory.
_GROUP_PAIRS = 8192

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class RerankScores:
    """One entry per query, aligned with its candidates.

    `logits` are raw (no activation), float32. `dropped` says how many ids of a query and its
    document the model did not see, int64; `cached` whether nothing of a pair was computed, bool.
    """

    logits: list[NDArray[np.float32]]
    dropped: list[NDArray[np.int64]]
    cached: list[NDArray[np.bool_]]

    @property
    def pairs(self) -> int:
        """How many pairs were scored."""
        return sum(len(one) for one in self.logits)

    @property
    def pairs_from_cache(self) -> int:
        """How many pairs' logits had been computed before."""
        return sum(int(np.count_nonzero(one)) for one in self.cached)

    @property
    def truncated_pairs(self) -> int:
        """How many pairs the model did not see whole."""
        return sum(int(np.count_nonzero(one)) for one in self.dropped)

    @property
    def dropped_tokens(self) -> int:
        """How many token ids the model did not see, over all pairs."""
        return sum(int(one.sum()) for one in self.dropped)


Pending = Callable[[], NDArray[np.float32]]  # waits for a batch's raw logits, (rows,) float32


class Runtime(Protocol):
    """What computes the logits."""

    @property
    def batch_tokens(self) -> int:
        """Rows x longest of one forward pass; may change between two of them."""
        ...

    @property
    def in_flight(self) -> int:
        """How many batches are worth being started before the first of them is waited for."""
        ...

    @property
    def length_step(self) -> int:
        """What the length of a batch shall be a multiple of."""
        ...

    def start(self, batch: Batch) -> Pending:
        """Start to compute a batch; batches are waited for in the order they were started in."""
        ...


class Cache(Protocol):
    """What keeps the logits of rows that were computed before."""

    def find(self, rows: Sequence[PairParts]) -> NDArray[np.float32]:
        """The logit of each row, (rows,) float32; NaN where it is not known."""
        ...

    def keep(self, rows: Sequence[PairParts], logits: NDArray[np.float32]) -> None:
        """Remember the logits, (rows,) float32."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PairScorer:
    """Assembles and batches pairs for any runtime."""

    model: PairModel
    documents: DocumentTokens
    runtime: Runtime
    long_documents: LongDocuments = "cut"
    cache: Cache | None = None

    def score(
        self,
        queries: Sequence[str],
        candidates: Sequence[Ordinals],
        *,
        watch: Stopwatch | None = None,
        on_progress: Progress | None = None,
    ) -> RerankScores:
        """One array of logits per query, aligned with its candidates.

        `on_progress` is called with how many pairs were finished since its last call.
        """
        clock = watch or Stopwatch()
        result = RerankScores([], [], [])
        for begin, end in _groups([len(one) for one in candidates]):
            with clock.stage(ASSEMBLE):
                pairs = self._pairs(queries[begin:end], candidates[begin:end])
            logits, cached = self._logits(pairs, clock, on_progress or _ignore)
            dropped = np.array([pair.dropped for pair in pairs], dtype=np.int64)
            ends = np.cumsum([len(one) for one in candidates[begin:end]])[:-1]
            result.logits.extend(np.split(logits, ends))
            result.dropped.extend(np.split(dropped, ends))
            result.cached.extend(np.split(cached, ends))
        return result

    def lengths(self, ordinals: Ordinals) -> NDArray[np.int64]:
        """How many token ids each document has, whole, (n,)."""
        return self.documents.gather(ordinals).lengths

    def truncation(
        self, queries: Sequence[str], candidates: Sequence[Ordinals]
    ) -> list[Truncation]:
        """For each query, how much of its pairs is not read: what `score` counts as dropped."""
        found: list[Truncation] = []
        for begin, end in _groups([len(one) for one in candidates]):
            asked, own = queries[begin:end], candidates[begin:end]
            wanted, places = np.unique(np.concatenate(own), return_inverse=True)
            whole = self.documents.gather(wanted.astype(np.int64)).lengths[places]
            dropped = np.array([pair.dropped for pair in self._pairs(asked, own)], np.int64)
            query_ids = self.model.tokenizer.encode(asked)
            ends = np.cumsum([len(one) for one in own])[:-1]
            parts = zip(query_ids, np.split(whole, ends), np.split(dropped, ends), strict=True)
            found += [Truncation(lengths + len(ids), lost) for ids, lengths, lost in parts]
        return found

    def _pairs(self, queries: Sequence[str], candidates: Sequence[Ordinals]) -> list[Passages]:
        """The passages of every pair, query after query."""
        query_ids = self.model.tokenizer.encode(queries)
        wanted, places = np.unique(np.concatenate(candidates), return_inverse=True)
        rows: TokenRows = self.documents.gather(wanted.astype(np.int64))
        ends = np.cumsum([len(one) for one in candidates])[:-1]
        return [
            pair_passages(
                ids,
                rows.ids[row],
                document_length=int(rows.lengths[row]),
                room=self.model.room,
                long=self.long_documents,
            )
            for ids, own in zip(query_ids, np.split(places, ends), strict=True)
            for row in own.tolist()
        ]

    def _logits(
        self, pairs: Sequence[Passages], clock: Stopwatch, on_progress: Progress
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """One logit per pair, that of its best passage, and whether none of it was computed."""
        with clock.stage(ASSEMBLE):
            parts = [part for pair in pairs for part in pair.parts]
            per_pair = [len(pair.parts) for pair in pairs]
            pair_of = np.repeat(np.arange(len(pairs)), per_pair)
            scores = self._remembered(parts)
            missing = np.flatnonzero(np.isnan(scores))
            unfinished = np.bincount(pair_of[missing], minlength=len(pairs))
            cached = unfinished == 0
            lengths = _lengths([parts[i] for i in missing], self.model.template.n_special)
        on_progress(int(np.count_nonzero(cached)))
        for rows, logits in self._computed(parts, missing, lengths, clock):
            scores[rows] = logits
            np.subtract.at(unfinished, pair_of[rows], 1)
            on_progress(int(np.count_nonzero(unfinished[np.unique(pair_of[rows])] == 0)))
        if self.cache is not None and len(missing):
            with clock.stage(ASSEMBLE):
                self.cache.keep([parts[i] for i in missing], scores[missing])
        return best_passages(scores, per_pair), cached

    def _computed(
        self,
        parts: Sequence[PairParts],
        missing: NDArray[np.int64],
        lengths: NDArray[np.int64],
        clock: Stopwatch,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Places of rows that went together and their logits; one is assembled while others run."""
        runtime, longest = self.runtime, self.model.max_length
        padded = np.minimum(-(-lengths // runtime.length_step) * runtime.length_step, longest)
        started: deque[tuple[NDArray[np.int64], Pending]] = deque()
        for places in plan_batches(padded, lambda: runtime.batch_tokens):
            rows = missing[places]
            with clock.stage(ASSEMBLE):
                batch = fill_batch(
                    self.model.template,
                    [parts[i] for i in rows],
                    self.model.pad_id,
                    length=int(padded[places[0]]),
                )
            with clock.stage(FORWARD):
                started.append((rows, runtime.start(batch)))
            if len(started) >= runtime.in_flight:
                yield self._finished(started, clock)
        while started:
            yield self._finished(started, clock)

    def _finished(
        self, started: deque[tuple[NDArray[np.int64], Pending]], clock: Stopwatch
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rows, pending = started.popleft()
        with clock.stage(FORWARD):
            return rows, pending()

    def _remembered(self, parts: Sequence[PairParts]) -> NDArray[np.float32]:
        """The logits that the cache knows; NaN for the others."""
        if self.cache is None:
            return np.full(len(parts), np.nan, np.float32)
        return self.cache.find(parts)


def _groups(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Begin and end of runs of queries of at most _GROUP_PAIRS pairs (one query at least)."""
    begin, pairs = 0, 0
    for place, size in enumerate(sizes):
        if place > begin and pairs + size > _GROUP_PAIRS:
            yield begin, place
            begin, pairs = place, 0
        pairs += size
    if begin < len(sizes):
        yield begin, len(sizes)


def _lengths(parts: Sequence[PairParts], n_special: int) -> NDArray[np.int64]:
    lengths = [len(part.query_ids) + len(part.document_ids) + n_special for part in parts]
    return np.array(lengths, dtype=np.int64)


def _ignore(_finished: int) -> None:
    """No progress is shown."""
