"""The rerank stage: the best fused candidates through the cross-encoder, and the final order."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError
from scisearch.index.stopwatch import Stopwatch
from scisearch.rerank.anytime import TOP, LogitBound, StoppingRule
from scisearch.rerank.calibration import Calibration
from scisearch.rerank.cascade import KEPT, Candidates, all_of, best_of
from scisearch.rerank.interpolation import AMONG, Interpolation, Reading, with_rest
from scisearch.rerank.rounds import CrossEncoder, FirstScores, Rounds
from scisearch.rerank.search_config import Limits
from scisearch.rerank.truncation import Truncation
from scisearch.retrieval.ranking import IdRank, Ordinals, Scored, rank
from scisearch.retrieval.results import RerankEffort

_NO_LIMITS = Limits()
NOT_HEARD = (
    "the cross-encoder changed no order: the candidates are so short, or the whole corpus so much"
    " about one thing, that it is not heard (--rerank-weight has it heard)"
)


@dataclass(frozen=True, slots=True)
class Reranked:
    """One query's lists "cross-encoder" and "final", in that order, and what a reader should know.

    The final list has the candidates that were not scored below all that were, in fused order.
    `probabilities` is ordinal -> probability of relevance of those that were scored; empty where
    the model has no calibration.
    """

    stages: Mapping[str, Scored]
    notes: tuple[str, ...]
    probabilities: Mapping[int, float]
    effort: RerankEffort


class RerankStage:
    """A cross-encoder, and how its opinion is weighed against the first stages'."""

    def __init__(
        self,
        cross_encoder: CrossEncoder,
        interpolation: Interpolation,
        id_rank: IdRank,
        sha256: str,
        *,
        calibration: Calibration | None = None,
        bound: LogitBound | None = None,
        likeness: float | None = None,
    ) -> None:
        """Take an open cross-encoder; `open_rerank_stage` finds one by name."""
        self.small: RerankStage | None = None  # looks at all first; None: this one scores them all
        self._likeness = likeness  # mean cosine of two documents; None: not known
        self._cross_encoder = cross_encoder
        self._rounds = Rounds(cross_encoder)
        self._max_length = cross_encoder.max_length
        self._bound = bound  # of the logits that are not computed; None: the model has none
        self.interpolation = interpolation
        self._id_rank = id_rank
        self.sha256 = sha256  # of the cross-encoder's weights
        self.runtime_name = cross_encoder.runtime_name
        self.calibration = calibration  # None: its logits have no probabilities

    @cached_property
    def settings_sha256(self) -> str:
        """A digest of what weighs, calibrates and bounds the logits."""
        parts = (self.interpolation, self.calibration, self._bound)
        content = [None if part is None else asdict(part) for part in parts]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def rerank(
        self,
        queries: Sequence[str],
        fused: Sequence[Scored],
        *,
        depth: int,
        limits: Limits = _NO_LIMITS,
        top: int = TOP,
        min_probability: float | None = None,
        watch: Stopwatch | None = None,
    ) -> list[Reranked]:
        """Score the best `depth` candidates of each query and put them into their final order.

        `limits` ends the scoring early; `top` is how much of the final list shall be as without.
        With `min_probability` the final list has only documents that are at least so likely to be
        relevant; one that was not scored is not.

        Raises:
            ConfigError: `min_probability` and no calibration.
        """
        if min_probability is not None and self.calibration is None:
            raise ConfigError(
                f"minimum probability {min_probability:g}: the cross-encoder has no calibration,"
                " expected one in its scisearch.json, as `search train` writes it; leave out"
                " --min-probability or name another --reranker"
            )
        heads = [one.cut(depth) for one in fused]
        settings = [self.setting(head.ordinals) for head in heads]
        before = self._by_small(queries, fused, depth=depth, watch=watch)
        asked = [
            all_of(head, whole) if first is None else best_of(head, first.stages["final"])
            for head, whole, first in zip(heads, fused, before, strict=True)
        ]
        found = self._rounds.score(
            queries,
            [one.head.cut(one.count) for one in asked],
            limits=limits,
            rules=self._rules(settings, top),
            watch=watch,
        )
        outcomes = [
            self._reranked(one, first, setting, limits)
            for one, first, setting in zip(asked, found, settings, strict=True)
        ]
        return [
            self._likely(_after(first, outcome), min_probability)
            for first, outcome in zip(before, outcomes, strict=True)
        ]

    def _by_small(
        self,
        queries: Sequence[str],
        fused: Sequence[Scored],
        *,
        depth: int,
        watch: Stopwatch | None,
    ) -> "list[Reranked | None]":
        """What the small cross-encoder makes of each query's list; None where nobody asks it."""
        found: list[Reranked | None] = [None] * len(queries)
        if self.small is None:
            return found
        long = [place for place, one in enumerate(fused) if min(len(one), depth) > KEPT]
        outcomes = self.small.rerank(
            [queries[place] for place in long],
            [fused[place] for place in long],
            depth=depth,
            watch=watch,
        )
        for place, outcome in zip(long, outcomes, strict=True):
            found[place] = outcome
        return found

    def setting(self, candidates: Ordinals) -> Interpolation:
        """How a query is weighed that has these candidates, best fused one first."""
        return self.interpolation.for_query(self.reading(candidates))

    def reading(self, candidates: Ordinals) -> Reading:
        """What the weight of a query with these candidates may depend on."""
        if self.interpolation.lengths is None:
            return Reading(likeness=self._likeness)
        return Reading(self._cross_encoder.lengths(candidates[:AMONG]), self._likeness)

    def logits(
        self, queries: Sequence[str], candidates: Sequence[Ordinals]
    ) -> list[NDArray[np.float32]]:
        """The raw logits of each query's candidates, (n_candidates,) in their order."""
        return self._cross_encoder.score(queries, candidates).logits

    def truncation(
        self, queries: Sequence[str], candidates: Sequence[Ordinals]
    ) -> list[Truncation]:
        """For each query, how much of its pairs the cross-encoder does not read."""
        return self._cross_encoder.truncation(queries, candidates)

    def notes(self, limits: Limits) -> tuple[str, ...]:
        """What is to be said of every query that is scored with these limits."""
        normalisation = self.interpolation.normalisation
        if not limits.auto:
            return ()
        if normalisation != "logit":
            return (
                "--rerank auto scores all candidates: this model is weighed by"
                f" {normalisation}, where every score depends on all;"
                " `search fit-reranker --choose-weight` may choose logit for it",
            )
        if self._bound is None:
            return (
                "--rerank auto goes by the highest logit seen: this model has no fitted bound"
                " (search fit-reranker fits one)",
            )
        return ()

    def _rules(self, settings: Sequence[Interpolation], top: int) -> list[StoppingRule] | None:
        """What says whether the top of each query may still change; None where nothing can."""
        if self.interpolation.normalisation != "logit":
            return None
        return [StoppingRule(setting, self._bound, top) for setting in settings]

    def _reranked(
        self,
        asked: Candidates,
        first: FirstScores,
        setting: Interpolation,
        limits: Limits,
    ) -> Reranked:
        head = asked.head
        final = setting.interpolate_first(head, first.logits, self._id_rank)
        scored = head.cut(len(first.logits))
        stages = {
            "cross-encoder": rank(scored.ordinals, first.logits, self._id_rank),
            "final": with_rest(final, asked.whole, len(scored)),
        }
        notes = (*_effort_notes(first.effort), *self.notes(limits), *self._cut_notes(first))
        if self.interpolation.weight and not setting.weight and len(head):
            notes = (*notes, NOT_HEARD) if first.effort.scored else (NOT_HEARD,)
        probabilities = self._probabilities(scored, first.logits)
        return Reranked(stages, notes, probabilities, first.effort)

    def _cut_notes(self, first: FirstScores) -> tuple[str, ...]:
        cut = int(np.count_nonzero(first.dropped))
        if not cut:
            return ()
        return (
            f"the cross-encoder saw {cut} of {len(first.dropped)} documents only in part"
            f" (limit {self._max_length} tokens; {int(first.dropped.sum())} tokens unseen)",
        )

    def _probabilities(self, head: Scored, logits: np.ndarray) -> dict[int, float]:
        if self.calibration is None:
            return {}
        probabilities = self.calibration.probabilities(logits)
        return dict(zip(head.ordinals.tolist(), probabilities.tolist(), strict=True))

    def _likely(self, outcome: Reranked, least: float | None) -> Reranked:
        """The outcome with only likely documents in its final list, and notes of how many went."""
        if least is None:
            return outcome
        final = outcome.stages["final"]
        chances = np.array(
            [outcome.probabilities.get(ordinal, -1.0) for ordinal in final.ordinals.tolist()],
            np.float32,
        )
        kept = chances >= np.float32(least)
        if kept.all():
            return outcome
        unscored = int((chances < 0).sum())
        gone = len(final) - int(kept.sum()) - unscored
        notes = []
        if gone:
            notes.append(
                f"{gone} candidates are less likely to be relevant than {least:g} and left out"
            )
        if unscored:
            notes.append(
                f"{unscored} candidates were not reranked and are left out: how likely they are is"
                " not known"
            )
        stages = {**outcome.stages, "final": Scored(final.ordinals[kept], final.scores[kept])}
        return replace(outcome, stages=stages, notes=(*outcome.notes, *notes))


def _after(first: Reranked | None, outcome: Reranked) -> Reranked:
    """The outcome for the few that a small cross-encoder chose, told as one for all."""
    if first is None:
        return outcome
    effort = replace(
        outcome.effort,
        candidates=first.effort.candidates,
        stopped_by="cascade",
        agreement=None,
    )
    stages = {"small cross-encoder": first.stages["cross-encoder"], **outcome.stages}
    chosen = _effort_notes(replace(effort, from_cache=0))  # what was looked up is told already
    return replace(outcome, stages=stages, notes=(*chosen, *outcome.notes), effort=effort)


def _effort_notes(effort: RerankEffort) -> list[str]:
    """How much was scored, where that is not simply all; and what was only looked up."""
    counts = f"{effort.scored} of {effort.candidates} candidates were reranked"
    agreement = "not known" if effort.agreement is None else f"{effort.agreement:.0%}"
    notes = []
    if effort.stopped_by == "bound":
        notes.append(
            f"{counts}, the others are not expected at the top; expected agreement with a rerank"
            f" of all: {agreement}"
        )
    if effort.stopped_by == "cascade":
        notes.append(f"{counts}, those that the small cross-encoder put first")
    if effort.stopped_by == "time":
        notes.append(
            f"{counts} when the time was up, another time it may be more or fewer; expected"
            f" agreement with a rerank of all: {agreement}"
        )
    if effort.from_cache:
        notes.append(f"{effort.from_cache} of {effort.scored} scores are from the score cache")
    return notes
