"""What holds of stopping early, whatever the scores."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from scisearch.rerank.anytime import (
    FIRST_ROUND,
    LogitBound,
    ScoredList,
    StoppingRule,
    round_ends,
    scored_until_stop,
)
from scisearch.rerank.interpolation import Interpolation
from scisearch.retrieval.ranking import Scored, rank

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
WEIGHTS = st.floats(0, 1, width=32)
# at weight 0 nothing is scored: no logit can change the order
HEARD = st.floats(0, 1, width=32, exclude_min=True)
FINITE = st.floats(-20, 20, width=32)
Logits = NDArray[np.float32]


@st.composite
def scored_lists(draw: st.DrawFn, longest: int = 60) -> ScoredList:
    size = draw(st.integers(1, longest))
    fused = draw(arrays(np.float32, size, elements=st.floats(0, 1, width=16)))
    logits = draw(arrays(np.float32, size, elements=FINITE))
    return ScoredList(np.sort(fused)[::-1].copy(), logits)


@st.composite
def bounds(draw: st.DrawFn) -> LogitBound:
    excess = sorted(draw(st.sets(st.integers(-5, 15), min_size=1, max_size=6)))
    chances = st.lists(st.floats(1e-6, 1), min_size=len(excess), max_size=len(excess))
    a, b, c, d = draw(st.tuples(*[st.floats(-3, 3)] * 4))
    return LogitBound(
        (a, b, c, d),
        tuple(map(float, excess)),
        tuple(sorted(draw(chances), reverse=True)),
        draw(st.sampled_from([0.0, 0.01, 0.5, 3.0])),
    )


def top_of(interpolation: Interpolation, one: ScoredList, logits: Logits, top: int) -> set[int]:
    head = Scored(np.arange(len(one.fused)), one.fused)
    ids = np.arange(len(one.fused), dtype=np.int32)[::-1].copy()  # ties go to the later candidates
    return set(interpolation.interpolate_first(head, logits, ids).ordinals[:top].tolist())


@patient
@given(scored_lists(), HEARD, st.integers(1, 12))
def test_the_cautious_rule_loses_nothing_that_stays_below_the_highest_logit(
    one: ScoredList, weight: float, top: int
) -> None:
    interpolation = Interpolation(weight, "logit")
    rule = StoppingRule(interpolation, None, top)
    end = scored_until_stop(rule, one)
    seen = one.logits[:end]
    kept = np.concatenate([seen, np.minimum(one.logits[end:], seen.max())])
    assert top_of(interpolation, one, kept, top) == top_of(interpolation, one, seen, top)


@patient
@given(scored_lists(), HEARD, bounds(), st.integers(1, 12))
def test_a_stop_is_what_the_bound_allows(
    one: ScoredList, weight: float, bound: LogitBound, top: int
) -> None:
    """Counted anew, one candidate after the other, as the docstrings say."""
    rule = StoppingRule(Interpolation(weight, "logit"), bound, top)
    end = scored_until_stop(rule, one)
    assert end in set(round_ends(len(one.fused)))
    if end == len(one.fused):
        return
    x = (one.fused - one.fused.min()).astype(float)
    x = x / x.max() if x.max() else np.ones_like(x)
    a, b, c, d = bound.coefficients
    expected = a + c * float(np.mean(one.logits[:end])) + d * float(x[:end].mean())
    final = weight * one.logits[:end].astype(float) / 10 + (1 - weight) * x[:end]
    last = sorted(final.tolist())[-top]
    newcomers = 0.0
    for place in range(end, len(x)):
        gap = last - (1 - weight) * x[place]
        above = gap * 10 / weight - expected - b * x[place]
        newcomers += float(np.exp(np.interp(above, bound.excess, np.log(bound.chances))))
    newcomers = min(newcomers, top)
    assert newcomers <= bound.allowed * (1 + 1e-6) + 1e-9
    agreement = rule.agreement(one.fused, one.logits[:end])
    assert agreement == pytest.approx(1 - newcomers / top, abs=1e-6)


@patient
@given(scored_lists(), WEIGHTS, bounds(), st.randoms(use_true_random=False))
def test_what_is_not_scored_does_not_matter(
    one: ScoredList, weight: float, bound: LogitBound, random: "np.random.Generator"
) -> None:
    rule = StoppingRule(Interpolation(weight, "logit"), bound)
    end = scored_until_stop(rule, one)
    rest = one.logits[end:].tolist()
    random.shuffle(rest)
    other = ScoredList(one.fused, np.array([*one.logits[:end], *rest], np.float32))
    assert scored_until_stop(rule, other) == end


@patient
@given(scored_lists(), HEARD, bounds())
def test_nothing_allowed_is_a_full_rerank(
    one: ScoredList, weight: float, bound: LogitBound
) -> None:
    none = LogitBound(bound.coefficients, bound.excess, bound.chances, 0.0)
    rule = StoppingRule(Interpolation(weight, "logit"), none)
    assert scored_until_stop(rule, one) == len(one.fused)


@patient
@given(scored_lists(), HEARD, bounds())
def test_more_allowed_is_never_later(one: ScoredList, weight: float, bound: LogitBound) -> None:
    interpolation = Interpolation(weight, "logit")
    ends = [
        scored_until_stop(
            StoppingRule(
                interpolation,
                LogitBound(bound.coefficients, bound.excess, bound.chances, allowed),
            ),
            one,
        )
        for allowed in (0.0, 0.1, 1.0, 5.0, 11.0)
    ]
    assert ends == sorted(ends, reverse=True)
    assert ends[-1] == min(FIRST_ROUND, len(one.fused))


@patient
@given(scored_lists(), WEIGHTS, st.data())
def test_scored_candidates_have_the_scores_of_a_full_rerank(
    one: ScoredList, weight: float, data: st.DataObject
) -> None:
    interpolation = Interpolation(weight, "logit")
    end = data.draw(st.integers(0, len(one.fused)))
    whole = interpolation.scores(one.fused, one.logits)
    assert interpolation.scores(one.fused, one.logits[:end]).tolist() == whole[:end].tolist()
    head = Scored(np.arange(len(one.fused)), one.fused)
    ids = np.arange(len(one.fused), dtype=np.int32)
    full = interpolation.interpolate(head, one.logits, ids)
    again = rank(head.ordinals, whole, ids)
    assert full.ordinals.tolist() == again.ordinals.tolist()
    assert full.scores.tolist() == again.scores.tolist()
