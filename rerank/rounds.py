"""Which candidates go through the cross-encoder, round by round: until all have, or it may stop.

Knows the clock and who still has candidates; the arithmetic of stopping is in anytime.py. Without a
budget the same input gives the same rounds. With one, the machine's speed decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ModelError
from scisearch.index.stopwatch import Stopwatch
from scisearch.rerank.anytime import FIRST_ROUND, NEXT_ROUNDS, StoppingRule
from scisearch.rerank.scoring import RerankScores
from scisearch.rerank.search_config import Limits
from scisearch.rerank.truncation import Truncation
from scisearch.retrieval.ranking import Ordinals, Scored
from scisearch.retrieval.results import RerankEffort, StoppedBy

_PROBE = 4  # candidates of a query that are scored while nothing is known of the speed


class CrossEncoder(Protocol):
    """What scores the candidates of queries."""

    max_length: int  # ids of a pair, special tokens included
    runtime_name: str  # what computes it, e.g. "onnx int8"

    def score(
        self,
        queries: Sequence[str],
        candidates: Sequence[Ordinals],
        *,
        watch: Stopwatch | None = None,
    ) -> RerankScores:
        """One array of raw float32 logits per query, aligned with its candidates."""
        ...

    def truncation(
        self, queries: Sequence[str], candidates: Sequence[Ordinals]
    ) -> list[Truncation]:
        """For each query, how much of its pairs is not read; nothing is scored."""
        ...

    def lengths(self, ordinals: Ordinals) -> NDArray[np.int64]:
        """How many tokens each document has, whole, (n,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FirstScores:
    """One query's logits and unseen tokens, both (m,), of its first m candidates."""

    logits: NDArray[np.float32]
    dropped: NDArray[np.int64]
    effort: RerankEffort


_NO_LIMITS = Limits()


class Rounds:
    """A cross-encoder, and what is known of its speed."""

    def __init__(
        self, cross_encoder: CrossEncoder, *, clock: Callable[[], float] = perf_counter
    ) -> None:
        """Take the cross-encoder; `clock` gives seconds."""
        self._cross_encoder = cross_encoder
        self._clock = clock
        self._pair_seconds: float | None = None  # of the latest round; None: none was measured

    def score(
        self,
        queries: Sequence[str],
        heads: Sequence[Scored],
        *,
        limits: Limits = _NO_LIMITS,
        rules: Sequence[StoppingRule] | None = None,
        watch: Stopwatch | None = None,
    ) -> list[FirstScores]:
        """Score candidates in their order.

        Args:
            queries: their texts.
            heads: the candidates of each, in fused order.
            limits: when to end early.
            rules: each query's, which says whether its top may still change; None: nothing does,
                so `auto` scores all.
            watch: told the stages' times.
        """
        own: Sequence[StoppingRule | None] = rules or [None] * len(queries)
        asked = limits.auto and rules is not None
        work = [_Work(*of, asked=asked) for of in zip(queries, heads, own, strict=True)]
        if not asked and limits.budget_ms is None:
            self._round(work, [len(head) for head in heads], watch)
            return [one.outcome() for one in work]
        deadline = self._deadline(limits, len(work))
        while active := [one for one in work if one.stopped_by is None]:
            share = self._share(len(active), deadline)
            if not share:
                for one in active:
                    one.stopped_by = "time"
                break
            sizes = [one.next_size(share, asked=asked) for one in active]
            self._round(active, sizes, watch)
            if asked:
                for one in active:
                    one.ask()
        return [one.outcome() for one in work]

    def _deadline(self, limits: Limits, queries: int) -> float | None:
        if limits.budget_ms is None:
            return None
        return self._clock() + limits.budget_ms / 1e3 * queries

    def _share(self, active: int, deadline: float | None) -> int:
        """How many candidates of each query fit into the time that is left."""
        if deadline is None:
            return FIRST_ROUND
        left = deadline - self._clock()
        if left <= 0:
            return 0
        if self._pair_seconds is None:
            return _PROBE
        return int(min(left / self._pair_seconds / active, FIRST_ROUND))

    def _round(
        self, active: Sequence["_Work"], sizes: Sequence[int], watch: Stopwatch | None
    ) -> None:
        """Score the next candidates of each query, all in one call, and note the speed."""
        begin = self._clock()
        scores = self._cross_encoder.score(
            [one.query for one in active],
            [one.next(size) for one, size in zip(active, sizes, strict=True)],
            watch=watch,
        )
        found = [len(logits) for logits in scores.logits]
        if found != list(sizes):
            raise ModelError(f"the cross-encoder gave {found} scores for {list(sizes)} candidates")
        computed = sum(sizes) - scores.pairs_from_cache
        if computed:
            self._pair_seconds = max((self._clock() - begin) / computed, 1e-9)
        for place, one in enumerate(active):
            one.add(scores, place)


class _Work:
    """One query on its way."""

    def __init__(self, query: str, head: Scored, rule: StoppingRule | None, *, asked: bool) -> None:
        self.query = query
        self._head, self._rule = head, rule
        self._logits = np.empty(0, np.float32)
        self._dropped = np.empty(0, np.int64)
        self._from_cache = 0
        self.stopped_by: StoppedBy | None = None if len(head) else "end"
        if asked and len(head) and rule is not None and rule.is_settled:
            self.stopped_by = "bound"  # before the first round: no logit can change anything

    def next_size(self, most: int, *, asked: bool) -> int:
        """How many candidates the next round takes; a rule is first asked after a long one."""
        scored = len(self._logits)
        wanted = FIRST_ROUND - scored if asked and scored < FIRST_ROUND else NEXT_ROUNDS
        return min(wanted, most, len(self._head) - scored)

    def next(self, size: int) -> Ordinals:
        scored = len(self._logits)
        return self._head.ordinals[scored : scored + size]

    def add(self, scores: RerankScores, place: int) -> None:
        self._logits = np.concatenate([self._logits, scores.logits[place]])
        self._dropped = np.concatenate([self._dropped, scores.dropped[place]])
        self._from_cache += int(scores.cached[place].sum())
        if len(self._logits) == len(self._head):
            self.stopped_by = "end"

    def ask(self) -> None:
        """Stop if the rule allows it; it was fitted on what is seen after a whole first round."""
        if self.stopped_by is not None or len(self._logits) < FIRST_ROUND:
            return
        if self._rule is not None and self._rule.stops(self._head.scores, self._logits):
            self.stopped_by = "bound"

    def outcome(self) -> FirstScores:
        agreement = 1.0 if self.stopped_by == "end" else None
        if agreement is None and self._rule is not None:
            agreement = self._rule.agreement(self._head.scores, self._logits)
        effort = RerankEffort(
            len(self._logits),
            len(self._head),
            self.stopped_by or "end",
            agreement,
            self._from_cache,
        )
        return FirstScores(self._logits, self._dropped, effort)
