import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError, ModelError
from scisearch.rerank.interpolation import NORMALISATIONS, Interpolation, Reading, z_scores
from scisearch.retrieval.ranking import Scored

ID_RANK = np.array([3, 2, 1, 0], np.int32)
FUSED = Scored(np.array([0, 1, 2]), np.array([0.9, 0.5, 0.1], np.float32))


def logits(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def test_minmax_by_hand() -> None:
    final = Interpolation(0.75).interpolate(FUSED, logits(-4, 0, 4), ID_RANK)
    assert final.ordinals.tolist() == [2, 1, 0]
    # 0.75 * (0, 1/2, 1) + 0.25 * (1, 1/2, 0)
    assert final.scores.tolist() == pytest.approx([0.75, 0.5, 0.25], abs=1e-6)


def test_zscore_by_hand() -> None:
    final = Interpolation(0.5, "zscore").interpolate(FUSED, logits(1, 1, 4), ID_RANK)
    # the cross-encoder's are (-1, -1, 2) / sqrt(2), the fused (1, 0, -1) / sqrt(2/3)
    expected = {
        0: 0.5 * -(2**-0.5) + 0.5 * 1.5**0.5,
        1: 0.5 * -(2**-0.5),
        2: 0.5 * 2**0.5 - 0.5 * 1.5**0.5,
    }
    assert dict(zip(final.ordinals.tolist(), final.scores.tolist(), strict=True)) == pytest.approx(
        expected, abs=1e-6
    )


def test_logits_are_not_stretched_by_the_other_candidates() -> None:
    final = Interpolation(0.5, "logit").interpolate(FUSED, logits(-4, 0, 6), ID_RANK)
    alone = Interpolation(0.5, "logit").interpolate(FUSED, logits(-4, 0, -30), ID_RANK)
    span = FUSED.scores.max() - FUSED.scores.min()
    expected = 0.5 * (FUSED.scores - FUSED.scores.min()) / span + 0.5 * np.array([-0.4, 0.0, 0.6])
    found = dict(zip(final.ordinals.tolist(), final.scores.tolist(), strict=True))
    assert found == pytest.approx(dict(enumerate(expected.tolist())), abs=1e-6)
    others = dict(zip(alone.ordinals.tolist(), alone.scores.tolist(), strict=True))
    assert [others[0], others[1]] == [found[0], found[1]]


def test_weight_one_is_the_cross_encoder_with_ties_by_doc_id() -> None:
    final = Interpolation(1.0).interpolate(FUSED, logits(2, 2, 5), ID_RANK)
    assert final.ordinals.tolist() == [2, 1, 0]


def test_weight_zero_is_the_fused_order() -> None:
    final = Interpolation(0.0).interpolate(FUSED, logits(-4, 0, 4), ID_RANK)
    assert final.ordinals.tolist() == [0, 1, 2]


def test_the_weight_rises_with_the_median_length_of_the_best_candidates() -> None:
    ramp = Interpolation(0.6, "logit", (100, 200))
    expected = {90: 0.0, 100: 0.0, 125: 0.15, 150: 0.3, 200: 0.6, 900: 0.6}
    for tokens, weight in expected.items():
        found = ramp.for_query(Reading(np.array([5, tokens, 5000])))
        assert found.weight == pytest.approx(weight)
        assert (found.normalisation, found.lengths) == ("logit", None)
    # of twenty, however many follow
    many = np.array([200] * 11 + [0] * 300)
    assert ramp.for_query(Reading(many)) == Interpolation(0.6, "logit")
    assert ramp.for_query(Reading()).weight == 0
    assert Interpolation(0.6).for_query(Reading(np.array([3]))) == Interpolation(0.6)


def test_the_weight_falls_with_the_likeness_of_the_corpus() -> None:
    ramp = Interpolation(0.6, "logit", likeness=(0.1, 0.3))
    expected = {-0.1: 0.6, 0.1: 0.6, 0.15: 0.45, 0.2: 0.3, 0.3: 0.0, 0.9: 0.0}
    for cosine, weight in expected.items():
        assert ramp.for_query(Reading(likeness=cosine)).weight == pytest.approx(weight)
    assert ramp.for_query(Reading()) == Interpolation(0.6, "logit")  # not known
    both = Interpolation(0.6, "logit", (100, 200), (0.1, 0.3))
    found = both.for_query(Reading(np.array([150]), 0.2))
    assert found.weight == pytest.approx(0.15)
    assert not found.depends


def test_a_weight_that_is_asked_for_is_that_of_every_query() -> None:
    ramp = Interpolation(0.6, "logit", (100, 200))
    assert ramp.changed(0.3, None) == Interpolation(0.3, "logit")
    assert ramp.changed(None, None) == ramp
    assert ramp.changed(None, "zscore") == Interpolation(0.6, "zscore", (100, 200))


@pytest.mark.parametrize("lengths", [(200, 100), (100, 100), (-1, 5)])
def test_lengths_must_rise(lengths: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"rerank lengths .*expected two numbers of tokens"):
        Interpolation(0.5, "logit", lengths)


@pytest.mark.parametrize("likeness", [(0.3, 0.1), (0.1, 1.1)])
def test_likeness_must_rise(likeness: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"rerank likeness .*expected two cosines"):
        Interpolation(0.5, "logit", likeness=likeness)


def test_no_candidates_give_an_empty_list() -> None:
    nothing = Scored(np.empty(0, np.int64), np.empty(0, np.float32))
    for normalisation in NORMALISATIONS:
        assert not len(Interpolation(0.5, normalisation).interpolate(nothing, logits(), ID_RANK))


def test_equal_scores_have_z_score_zero() -> None:
    assert z_scores(logits(3, 3, 3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_logit_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ModelError, match=f"candidate 2 of 3 as {bad}"):
        Interpolation().interpolate(FUSED, logits(1, bad, 2), ID_RANK)


def test_a_missing_logit_is_refused() -> None:
    with pytest.raises(ModelError, match="2 scores for 3 candidates"):
        Interpolation().interpolate(FUSED, logits(1, 2), ID_RANK)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_zero_to_one_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match=f"rerank weight {weight}"):
        Interpolation(weight)


def test_another_normalisation_is_refused() -> None:
    with pytest.raises(ConfigError, match="'softmax'; expected one of logit, minmax, zscore"):
        Interpolation(0.5, "softmax")  # type: ignore[arg-type]
