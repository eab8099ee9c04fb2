"""The bound of a model's logits: its fit, and what is refused."""

import numpy as np
import pytest

from scisearch.index.errors import ConfigError
from scisearch.rerank.anytime import (
    LogitBound,
    ScoredList,
    StoppingRule,
    fit_bound,
    round_ends,
    scored_until_stop,
)
from scisearch.rerank.interpolation import Interpolation

BOUND = LogitBound((0.0, 0.0, 0.0, 0.0), (0.0, 10.0), (0.5, 0.005), 0.1)


def lists(count: int, *, size: int = 100, seed: int = 5, spread: float = 1.0) -> list[ScoredList]:
    """Logits 2 + 3 x + the query's own level, and noise."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        fused = np.sort(random.random(size))[::-1]
        x = (fused - fused.min()) / np.ptp(fused)
        logits = 2 + 3 * x + random.normal(0, 2) + random.normal(0, spread, size)
        found.append(ScoredList(fused.astype(np.float32), logits.astype(np.float32)))
    return found


def test_rounds() -> None:
    assert list(round_ends(100)) == [20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert list(round_ends(20)) == [20]
    assert list(round_ends(3)) == [3]
    assert list(round_ends(0)) == [0]


def test_newcomers_by_hand() -> None:
    """Weight 0.5: the last of the top has 0.5 * 4 / 10 + 0.5 * 0.5; x = 0 needs a logit of 9."""
    fused = np.array([1.0, 0.5, 0.0], np.float32)
    rule = StoppingRule(Interpolation(0.5, "logit"), BOUND, top=2)
    logits = np.array([8, 4], np.float32)
    chance = 0.5 * 0.01**0.9  # the logarithm falls by log(0.01) in 10 logits
    assert rule.newcomers(fused, logits) == pytest.approx(chance)
    assert rule.agreement(fused, logits) == pytest.approx(1 - chance / 2)
    assert rule.stops(fused, logits)
    lower = np.array([8, -4], np.float32)  # x = 0 needs a logit of 1
    assert rule.newcomers(fused, lower) == pytest.approx(0.5 * 0.01**0.1)
    assert not rule.stops(fused, lower)


def test_where_no_logit_counts_nothing_need_be_scored() -> None:
    fused = np.linspace(1, 0, 30).astype(np.float32)
    for bound in (None, BOUND):
        rule = StoppingRule(Interpolation(0.0, "logit"), bound)
        assert rule.is_settled
        assert rule.stops(fused, np.empty(0, np.float32))
        assert rule.agreement(fused, np.empty(0, np.float32)) == 1.0
        assert scored_until_stop(rule, ScoredList(fused, fused)) == 0
    assert not StoppingRule(Interpolation(0.1, "logit"), BOUND).is_settled


def test_too_few_scored_for_the_top_never_stop() -> None:
    fused = np.linspace(1, 0, 30).astype(np.float32)
    for bound in (None, BOUND):
        rule = StoppingRule(Interpolation(0.5, "logit"), bound, top=25)
        assert not rule.stops(fused, np.full(24, 50, np.float32))
        assert rule.agreement(fused, np.full(24, 50, np.float32)) is None


def test_the_cautious_rule_by_hand() -> None:
    fused = np.array([1.0, 0.8, 0.1, 0.0], np.float32)
    rule = StoppingRule(Interpolation(0.5, "logit"), None, top=1)
    # the best has 0.5; with a logit of 6 the third would have 0.3 + 0.05
    assert rule.stops(fused, np.array([0, 0], np.float32))
    assert rule.stops(fused, np.array([0, -6], np.float32))
    # the second has 0.5 * 8 / 10 + 0.4 = 0.8, the third could have 0.45
    assert rule.stops(fused, np.array([0, 8], np.float32))
    # the first has 0.5, but nobody knows what comes with a weight near 1
    near = StoppingRule(Interpolation(0.99, "logit"), None, top=2)
    assert not near.stops(fused, np.array([9, -9], np.float32))
    assert rule.agreement(fused, np.array([0, 0], np.float32)) is None


@pytest.mark.parametrize("normalisation", ["minmax", "zscore"])
def test_a_normalisation_over_all_candidates_is_refused(normalisation: str) -> None:
    interpolation = Interpolation(0.5, normalisation)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"normalisation {normalisation}: .*expected logit"):
        StoppingRule(interpolation)


def test_the_fit_finds_what_made_the_logits() -> None:
    """x weighs 3; the seen tell the query's level, so 1 logit of them is 1 of the unseen."""
    bound = fit_bound([lists(400)])
    constant, slope, seen, seen_x = bound.coefficients
    assert slope == pytest.approx(3, abs=0.1)
    assert seen == pytest.approx(1, abs=0.05)
    assert seen_x == pytest.approx(-3, abs=0.5)
    assert constant == pytest.approx(0, abs=0.5)
    # the noise is normal with deviation 1, and the mean of the seen has some of its own
    chances = dict(zip(bound.chances, bound.excess, strict=True))
    median = min(chances, key=lambda chance: abs(chance - 0.5))
    assert chances[median] == pytest.approx(0, abs=0.05)
    assert np.interp(2.0, bound.excess, bound.chances) == pytest.approx(0.0228, abs=0.01)


def test_the_chances_are_right_on_other_queries() -> None:
    """Somewhat more newcomers are expected than come: each one raises the bar for the others."""
    interpolation = Interpolation(0.6, "logit")
    rule = StoppingRule(interpolation, fit_bound([lists(300)], allowed=0.1))
    expected, came = [], []
    for one in lists(300, seed=6):
        for end in (20, 40):
            expected.append(rule.newcomers(one.fused, one.logits[:end]))
            final = interpolation.scores(one.fused, one.logits)
            came.append(int((np.argsort(-final)[:10] >= end).sum()))
    assert 0.2 < np.mean(came) < np.mean(expected) < 1.5 * np.mean(came)


def test_groups_weigh_alike() -> None:
    """Ten queries of one collection count as much as two hundred of another."""
    wide, narrow = lists(10, spread=4, seed=7), lists(200, spread=0.1, seed=8)
    both = fit_bound([wide, narrow])
    share = np.interp(2.0, both.excess, both.chances)
    assert 0.1 < share < 0.2  # half of the 0.31 of the wide one, not a twentieth


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(ConfigError, match="found 19 queries with more than 20 candidates"):
        fit_bound([lists(19), lists(50, size=20)])


@pytest.mark.parametrize(
    ("coefficients", "excess", "chances", "allowed"),
    [
        ((0.0, 0.0, 0.0), (0.0,), (0.5,), 0.1),
        ((0.0, 0.0, 0.0, float("nan")), (0.0,), (0.5,), 0.1),
        ((0.0, 0.0, 0.0, 0.0), (), (), 0.1),
        ((0.0, 0.0, 0.0, 0.0), (0.0, 0.0), (0.5, 0.2), 0.1),
        ((0.0, 0.0, 0.0, 0.0), (0.0, 1.0), (0.2, 0.5), 0.1),
        ((0.0, 0.0, 0.0, 0.0), (0.0, 1.0), (0.5, 0.0), 0.1),
        ((0.0, 0.0, 0.0, 0.0), (0.0, 1.0), (0.5,), 0.1),
        ((0.0, 0.0, 0.0, 0.0), (0.0,), (0.5,), -0.1),
    ],
)
def test_numbers_that_are_no_bound_are_refused(
    coefficients: tuple[float, float, float, float],
    excess: tuple[float, ...],
    chances: tuple[float, ...],
    allowed: float,
) -> None:
    with pytest.raises(ConfigError, match=r"bound of the logits: .*expected 4 coefficients"):
        LogitBound(coefficients, excess, chances, allowed)
