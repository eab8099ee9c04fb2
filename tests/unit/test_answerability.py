"""What a report of own and foreign queries says of given probabilities."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scisearch.benchmarks.answerability import REFUSED, answerability, told_apart
from scisearch.benchmarks.latency import spread_queries
from scisearch.cli import threshold_command
from scisearch.index.errors import RankingError
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.ranking import Query

CHANCES = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


@given(CHANCES, CHANCES)
def test_the_area_is_the_share_of_pairs_and_thresholds_keep_their_word(
    own: np.ndarray, foreign: np.ndarray
) -> None:
    report = told_apart(own, foreign)
    pairs = [(a > b) + 0.5 * (a == b) for a, b in product(own, foreign)]
    assert report.auc == pytest.approx(np.mean(pairs))
    assert 0 <= report.low <= report.high <= 1
    for share, one in zip(REFUSED, report.thresholds, strict=True):
        below = np.mean(foreign < one.probability)
        assert one.foreign_answered == pytest.approx(1 - below)
        assert below >= share - 1e-12 or one.probability == 1  # none is beyond certainty
        assert one.own_answered == np.mean(own >= one.probability)
        assert round(one.probability, 3) == one.probability
    assert all(a.probability <= b.probability for a, b in pairwise(report.thresholds))


def test_a_threshold_is_the_lowest_with_three_digits() -> None:
    foreign = np.arange(10) / 10
    report = told_apart(np.array([0.05, 0.95]), foreign)
    assert [one.probability for one in report.thresholds] == [0.701, 0.801, 0.901, 0.901]
    assert report.thresholds[0].own_answered == 0.5
    assert report.auc == 0.55  # above 1 and above all 10 of 10


def test_the_interval_is_narrow_where_there_is_no_doubt() -> None:
    report = told_apart(np.array([0.8, 0.9]), np.array([0.1, 0.2, 0.3]))
    assert (report.auc, report.low, report.high) == (1.0, 1.0, 1.0)
    mixed = told_apart(np.linspace(0, 1, 40), np.linspace(-0.2, 0.8, 40))
    assert 0.1 < mixed.high - mixed.low < 0.3
    assert mixed.low < mixed.auc < mixed.high


def test_the_command_offers_the_shares_of_the_report() -> None:
    (refuse,) = (one for one in threshold_command.params if one.name == "refuse")
    assert [float(share) for share in refuse.type.choices] == list(REFUSED)  # type: ignore[attr-defined]
    report = told_apart(np.array([0.5]), np.arange(10) / 10)
    assert [report.refusing(share) for share in REFUSED] == list(report.thresholds)


def test_queries_are_taken_from_all_of_the_file() -> None:
    queries = [Query(str(i), f"text {i}") for i in range(11)]
    assert [one.query_id for one in spread_queries(queries, 3)] == ["0", "5", "10"]
    assert spread_queries(queries, 20) == queries


def test_a_query_of_both_kinds_and_none_of_one_are_refused() -> None:
    one, other = [Query("a", "gene")], [Query("b", "gene"), Query("c", "cell")]
    with pytest.raises(RankingError, match=r"found 'gene' \(1 in all\) among the queries that"):
        answerability("nowhere", one, other, SearchConfig())
    with pytest.raises(RankingError, match="found no query that it does not answer, expected at"):
        answerability("nowhere", one, [], SearchConfig())
