"""Rows of the residual loss, and the sharpness of a first stage."""

from math import log

import numpy as np
import pytest

from scisearch.index.errors import TrainingError
from scisearch.rerank.training.examples import first_stage_sharpness, residual_rows
from scisearch.rerank.training.lists import FirstStage, RerankingList
from scisearch.rerank.training.recipe import Recipe
from scisearch.rerank.training.sharpness import (
    SHARPEST,
    ScoredRow,
    Sharpness,
    fit_by_kind,
    fit_sharpness,
)

RECIPE = Recipe(loss="residual", list_size=3)


def a_list(*positives: float | None, kind: str | None = None) -> RerankingList:
    texts = tuple(f"p{i}" for i in range(len(positives)))
    stage = FirstStage(positives, (0.5, 0.25, 0.75, 0.0), (0.5,) * 4)
    return RerankingList("q", texts, ("n0", "n1", "n2", "n3"), None, kind, stage)


def row(*scores: float, corrections: tuple[float, ...] | None = None) -> ScoredRow:
    return ScoredRow(np.array(scores), np.array(corrections or [0.0] * len(scores)))


def test_a_row_has_offsets_corrections_and_whether_it_has_them() -> None:
    rows = residual_rows([a_list(1.0, kind="claim")], RECIPE, Sharpness(2.0, {"claim": 8.0}))
    assert rows["query"] == ["q"]
    assert rows["texts"][0][0] == "p0"
    scores = [1.0, *((0.5, 0.25, 0.75, 0.0)[int(text[1])] for text in rows["texts"][0][1:])]
    # two of four, which were half of theirs: an inclusion rate of a quarter
    by_hand = [*(8.0 * score for score in scores), 0.0, log(4), log(4), 1.0]
    assert rows["labels"][0] == pytest.approx(by_hand)


def test_a_positive_that_was_not_found_gives_no_row_where_another_was() -> None:
    rows = residual_rows([a_list(None, 0.5)], RECIPE, Sharpness(2.0, {}))
    assert [texts[0] for texts in rows["texts"]] == ["p1"]
    rows = residual_rows([a_list(None)], RECIPE, Sharpness(2.0, {}))
    assert rows["labels"][0][0] == 0.0
    assert rows["labels"][0][-1] == 0.0


def test_half_of_a_list_is_positives_at_most() -> None:
    rows = residual_rows([a_list(1.0, 0.5, 0.2)], RECIPE, Sharpness(2.0, {}))
    assert len(rows["query"]) == 1
    large = Recipe(loss="residual", list_size=8)
    rows = residual_rows([a_list(1.0, 0.5, 0.2)], large, Sharpness(2.0, {}))
    assert [texts[0] for texts in rows["texts"]] == ["p0", "p1", "p2"]
    assert all(not any(text[0] == "p" for text in texts[1:]) for texts in rows["texts"])


def test_lists_without_scores_are_named() -> None:
    bare = RerankingList("which metal", ("a",), ("b",))
    with pytest.raises(TrainingError, match=r"the list of 'which metal' has no first-stage scores"):
        residual_rows([bare], RECIPE, Sharpness(1.0, {}))
    with pytest.raises(TrainingError, match="none of 1 training lists has a score for a positive"):
        first_stage_sharpness([a_list(None)], RECIPE)


def test_the_sharpness_is_the_most_likely_one() -> None:
    # the relevant text is 1.0 and wins in three rows of four: e^a / (e^a + 1) = 3/4
    rows = [row(1.0, 0.0)] * 3 + [row(0.0, 1.0)]
    assert fit_sharpness(rows) == pytest.approx(log(3), abs=1e-9)
    # each negative stands for four: e^a / (e^a + 4) = 3/4, and 4 e^a / (4 e^a + 1) in the last
    rows = [row(1.0, 0.0, corrections=(0.0, log(4)))] * 4
    assert fit_sharpness([*rows, row(0.0, 1.0)]) > log(3)


def test_the_sharpness_is_at_least_nought_and_finite() -> None:
    assert fit_sharpness([row(1.0, 0.0)]) == SHARPEST
    assert fit_sharpness([row(0.0, 1.0)]) == 0.0
    assert fit_sharpness([row(0.5, 0.5, 0.5)]) == 0.0


def test_the_likelihood_has_its_top_there() -> None:
    draw = np.random.default_rng(5)
    rows = [ScoredRow(draw.random(n), draw.random(n)) for n in draw.integers(2, 9, 200)]

    def likelihood(a: float) -> float:
        exponents = [a * one.scores + one.corrections for one in rows]
        return float(sum(x[0] - np.log(np.exp(x).sum()) for x in exponents))

    for one in rows:  # the first stage is right more often than not
        one.scores[0] = max(one.scores[0], draw.random())
    best = fit_sharpness(rows)
    assert 0 < best < SHARPEST
    assert likelihood(best) > max(likelihood(best - 0.01), likelihood(best + 0.01))


def test_a_kind_with_lists_enough_has_its_own() -> None:
    def of(kind: str, scores: tuple[float, ...], count: int) -> list[ScoredRow]:
        return [ScoredRow(np.array(scores), np.zeros(2), kind)] * count

    sure = of("claim", (1.0, 0.0), 30) + of("claim", (0.0, 1.0), 10)
    few = of("title", (1.0, 0.0), 19)
    found = fit_by_kind(sure + few)
    assert found.of("claim") == pytest.approx(log(3))
    assert found.of("title") == found.of(None) == found.overall
    assert found.overall > log(3)
