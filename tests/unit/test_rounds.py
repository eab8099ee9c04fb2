"""Which candidates are scored, by a cross-encoder whose logits and speed are known."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError, ModelError
from scisearch.index.stopwatch import Stopwatch
from scisearch.rerank.anytime import LogitBound, StoppingRule
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.rounds import Rounds
from scisearch.rerank.scoring import RerankScores
from scisearch.rerank.search_config import Limits, SearchConfig
from scisearch.rerank.stage import RerankStage
from scisearch.rerank.truncation import Truncation
from scisearch.retrieval.ranking import Ordinals, Scored

LOGIT = Interpolation(0.5, "logit")
N = 100
ID_RANK = np.arange(N, dtype=np.int32)
FUSED = Scored(np.arange(N)[::-1].copy(), np.linspace(1, 0, N).astype(np.float32))
# a logit lies above 0 by more than 20 in one of a million cases
NARROW = LogitBound((0.0, 0.0, 0.0, 0.0), (0.0, 20.0), (0.5, 1e-6), 0.5)


class Known:
    """The logits of documents by ordinal; a pair takes a second of a clock that it moves."""

    max_length = 512
    runtime_name = "known"

    def __init__(self, logits: np.ndarray, *, cached: bool = False, seconds: float = 1.0) -> None:
        self.logits = logits.astype(np.float32)
        self.cached = cached
        self.seconds = seconds
        self.now = 0.0
        self.calls: list[list[int]] = []
        self.tokens = 150  # of every document

    def score(
        self,
        queries: Sequence[str],
        candidates: Sequence[Ordinals],
        *,
        watch: Stopwatch | None = None,
    ) -> RerankScores:
        assert len(queries) == len(candidates)
        assert watch is None or not watch.milliseconds()
        self.calls.append([len(one) for one in candidates])
        self.now += self.seconds * sum(map(len, candidates))
        return RerankScores(
            [self.logits[one] for one in candidates],
            [np.zeros(len(one), np.int64) for one in candidates],
            [np.full(len(one), self.cached) for one in candidates],
        )

    def truncation(
        self, queries: Sequence[str], candidates: Sequence[Ordinals]
    ) -> list[Truncation]:
        """Every document has ten ids and is read whole."""
        assert len(queries) == len(candidates)
        return [
            Truncation(np.full(len(one), 10, np.int64), np.zeros(len(one), np.int64))
            for one in candidates
        ]

    def lengths(self, ordinals: Ordinals) -> NDArray[np.int64]:
        return np.full(len(ordinals), self.tokens, np.int64)


def stage(
    model: Known, bound: LogitBound | None = None, setting: Interpolation = LOGIT
) -> RerankStage:
    return RerankStage(model, setting, ID_RANK, "sha", bound=bound)


LOGITS = np.random.default_rng(2).normal(0, 1, N)


def test_without_limits_all_is_scored_at_once() -> None:
    model = Known(LOGITS)
    (outcome,) = stage(model, NARROW).rerank(["q"], [FUSED], depth=60)
    assert model.calls == [[60]]
    assert outcome.effort.to_json() == {
        "scored": 60,
        "candidates": 60,
        "stopped_by": "end",
        "agreement": 1.0,
        "from_cache": 0,
    }
    assert outcome.notes == ()
    assert len(outcome.stages["final"]) == N


def test_a_bound_that_allows_nothing_is_the_full_rerank_to_the_bit() -> None:
    never = LogitBound(NARROW.coefficients, NARROW.excess, NARROW.chances, 0.0)
    model = Known(LOGITS)
    (full,) = stage(model).rerank(["q"], [FUSED], depth=N)
    (auto,) = stage(model, never).rerank(["q"], [FUSED], depth=N, limits=Limits(auto=True))
    assert model.calls[1:] == [[20], *[[10]] * 8]
    for name in ("cross-encoder", "final"):
        one, other = full.stages[name], auto.stages[name]
        assert one.ordinals.tolist() == other.ordinals.tolist()
        assert one.scores.tobytes() == other.scores.tobytes()
    assert auto.effort == full.effort


def test_short_candidates_keep_their_order_and_nothing_is_scored() -> None:
    ramp = Interpolation(0.8, "logit", (100, 200))
    found = {}
    for tokens in (100, 150, 300):
        model = Known(LOGITS)
        model.tokens = tokens
        auto = Limits(auto=True)
        (found[tokens],) = stage(model, NARROW, ramp).rerank(["q"], [FUSED], depth=N, limits=auto)
    assert found[100].stages["final"].ordinals.tolist() == FUSED.ordinals.tolist()
    assert (found[100].effort.scored, found[100].effort.agreement) == (0, 1.0)
    (note,) = found[100].notes
    assert "so short" in note
    for tokens, weight in ((150, 0.4), (300, 0.8)):
        same = stage(Known(LOGITS), NARROW, Interpolation(weight, "logit"))
        (plain,) = same.rerank(["q"], [FUSED], depth=N, limits=Limits(auto=True))
        one, other = found[tokens], plain
        assert one.stages["final"].ordinals.tolist() == other.stages["final"].ordinals.tolist()
        assert (one.effort, one.notes) == (other.effort, other.notes)
    assert found[150].stages["final"].ordinals.tolist() != FUSED.ordinals.tolist()


def test_auto_stops_and_keeps_the_rest_in_its_order() -> None:
    model = Known(LOGITS)
    (outcome,) = stage(model, NARROW).rerank(["q"], [FUSED], depth=N, limits=Limits(auto=True))
    effort = outcome.effort
    assert effort.stopped_by == "bound"
    assert 20 <= effort.scored < N
    assert len(outcome.stages["cross-encoder"]) == effort.scored
    final = outcome.stages["final"]
    assert final.ordinals[effort.scored :].tolist() == FUSED.ordinals[effort.scored :].tolist()
    assert (np.diff(final.scores) <= 0).all()
    assert effort.agreement is not None
    assert 0.95 < effort.agreement < 1
    assert outcome.notes == (
        f"{effort.scored} of 100 candidates were reranked, the others are not expected at the top;"
        f" expected agreement with a rerank of all: {effort.agreement:.0%}",
    )
    (again,) = stage(model, NARROW).rerank(["q"], [FUSED], depth=N, limits=Limits(auto=True))
    assert again.stages["final"].scores.tobytes() == final.scores.tobytes()


def test_queries_of_a_batch_stop_each_by_themselves() -> None:
    """In the second one fused scores are equal: any may enter, until high logits are seen."""
    model = Known(np.concatenate([np.full(30, 60), np.zeros(70)]))  # the last 70 stand first
    flat = Scored(FUSED.ordinals, np.full(N, 0.5, np.float32))
    alone = [
        stage(model, NARROW).rerank(["q"], [one], depth=N, limits=Limits(auto=True))[0]
        for one in (FUSED, flat)
    ]
    both = stage(model, NARROW).rerank(["a", "b"], [FUSED, flat], depth=N, limits=Limits(auto=True))
    assert both[0].effort != both[1].effort
    for one, other in zip(alone, both, strict=True):
        assert one.effort == other.effort
        assert one.stages["final"].scores.tobytes() == other.stages["final"].scores.tobytes()


def test_a_model_without_a_bound_goes_by_the_highest_logit() -> None:
    (outcome,) = stage(Known(np.zeros(N))).rerank(["q"], [FUSED], depth=N, limits=Limits(auto=True))
    assert outcome.effort.stopped_by == "bound"
    assert outcome.effort.agreement is None
    assert "rerank of all: not known" in outcome.notes[0]
    assert outcome.notes[1].startswith("--rerank auto goes by the highest logit seen")


def test_auto_with_another_normalisation_scores_all_and_says_why() -> None:
    (outcome,) = stage(Known(LOGITS), NARROW, Interpolation(0.5, "minmax")).rerank(
        ["q"], [FUSED], depth=N, limits=Limits(auto=True)
    )
    assert outcome.effort.scored == N
    assert outcome.notes == (
        "--rerank auto scores all candidates: this model is weighed by minmax, where every score"
        " depends on all; `search fit-reranker --choose-weight` may choose logit for it",
    )


def rounds(model: Known) -> Rounds:
    return Rounds(model, clock=lambda: model.now)


def test_a_budget_of_time_is_kept_once_the_speed_is_known() -> None:
    model = Known(LOGITS)
    of = rounds(model)
    for number in range(2):
        begin = model.now
        (first,) = of.score(["q"], [FUSED], limits=Limits(budget_ms=27_000))
        assert model.now - begin == 27
        assert first.effort.scored == 27
        assert first.effort.stopped_by == "time"
        assert first.effort.agreement is None
        assert model.calls[0] == [4], number
    assert model.calls == [[4], [10], [10], [3], [10], [10], [7]]


def test_a_budget_that_no_pair_fits_into_leaves_the_fused_order() -> None:
    model = Known(LOGITS)
    of = rounds(model)
    of.score(["q"], [FUSED])
    (first,) = of.score(["q"], [FUSED], limits=Limits(budget_ms=900))
    assert first.effort.scored == 0
    assert first.effort.stopped_by == "time"


def test_a_budget_is_shared_by_the_queries_of_a_batch() -> None:
    model = Known(LOGITS)
    found = rounds(model).score(["a", "b"], [FUSED, FUSED], limits=Limits(budget_ms=25_000))
    assert model.now == 50
    assert [one.effort.scored for one in found] == [25, 25]


def test_enough_time_scores_all() -> None:
    (first,) = rounds(Known(LOGITS)).score(["q"], [FUSED], limits=Limits(budget_ms=1e9))
    assert first.effort.stopped_by == "end"
    assert first.logits.tolist() == LOGITS.astype(np.float32)[::-1].tolist()


def test_auto_within_a_budget_stops_at_what_comes_first() -> None:
    rule = StoppingRule(LOGIT, NARROW)
    limits = [Limits(auto=True, budget_ms=ms) for ms in (15_000, 1e9)]
    efforts = [
        rounds(Known(LOGITS)).score(["q"], [FUSED], limits=one, rules=[rule])[0].effort
        for one in limits
    ]
    assert [one.stopped_by for one in efforts] == ["time", "bound"]
    assert [one.scored < 20 for one in efforts] == [True, False]
    assert efforts[0].agreement is not None  # 15 are scored, the top has 10 places


def test_remembered_scores_do_not_count_for_the_speed() -> None:
    model = Known(LOGITS, cached=True, seconds=0.001)
    of = rounds(model)
    (first,) = of.score(["q"], [FUSED], limits=Limits(budget_ms=90))
    assert first.effort.from_cache == first.effort.scored
    model.cached, model.seconds = False, 1.0
    (first,) = of.score(["q"], [FUSED], limits=Limits(budget_ms=5_000))
    assert first.effort.scored == 5


def test_what_a_budget_left_out_stands_below_in_fused_order() -> None:
    """Really timed: each pair sleeps for nothing, so the budget is over by the clock at once."""
    model = Known(LOGITS)
    (outcome,) = stage(model).rerank(["q"], [FUSED], depth=N, limits=Limits(budget_ms=1e-6))
    assert outcome.effort.scored == 0
    assert outcome.stages["final"].ordinals.tolist() == FUSED.ordinals.tolist()
    assert not len(outcome.stages["cross-encoder"])
    assert "0 of 100 candidates were reranked when the time was up" in outcome.notes[0]


def test_no_candidates_need_no_time() -> None:
    nothing = Scored(np.empty(0, np.int64), np.empty(0, np.float32))
    for limits in (Limits(), Limits(auto=True), Limits(budget_ms=1000)):
        (first,) = rounds(Known(LOGITS)).score(["q"], [nothing], limits=limits)
        assert first.effort.stopped_by == "end"
        assert len(first.logits) == 0


def test_a_logit_that_is_no_number_is_told_by_auto_too() -> None:
    broken = LOGITS.copy()
    broken[95] = np.nan  # the fifth candidate
    for bound in (None, NARROW):
        with pytest.raises(ModelError, match="candidate 5 of 100 as nan"):
            stage(Known(broken), bound).rerank(["q"], [FUSED], depth=N, limits=Limits(auto=True))


def test_settings_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"rerank auto with a minimum probability; .*--rerank full"
    ):
        SearchConfig(rerank="auto", min_probability=0.5)
    with pytest.raises(ConfigError, match="rerank 'half'; expected one of full, auto"):
        SearchConfig(rerank="half")  # type: ignore[arg-type]
    for budget in (0.0, float("nan"), -1.0):
        with pytest.raises(ConfigError, match="expected at least 1"):
            SearchConfig(budget_ms=budget)
