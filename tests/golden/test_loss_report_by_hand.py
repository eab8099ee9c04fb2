"""The account of lost nDCG@10, against values worked out by hand."""

from math import log2

import pytest

from scisearch.benchmarks.loss_report import LossReport, loss_report, recall_by_depth
from scisearch.index.errors import ConfigError
from scisearch.retrieval.ranking import Qrels, RankedList, Run

QRELS: Qrels = {
    "q1": {"a": 1, "b": 1, "x": 0},
    "q2": {"c": 2, "d": 1, "e": 1, "f": 1},
    "q3": {"a": 0},  # nothing answers it: it is in no mean
}


def run(**lists: str) -> Run:
    """A run from its documents by name, one letter each, best first."""
    return {
        query_id: RankedList.from_scores(query_id, {d: -float(i) for i, d in enumerate(letters)})
        for query_id, letters in lists.items()
    }


# Three candidates. q1: a, b. q2: c is a candidate, d was cut by fusion, e stands at BM25's rank 4,
# f is nowhere.
BM25 = run(q1="axy", q2="dzc")
DENSE = run(q1="bxy", q2="czx")
HYBRID = run(q1="xab", q2="zcx")
DEEP = {"bm25": run(q1="axyb", q2="dzce"), "dense": run(q1="bxya", q2="czxy")}

IDEAL_1 = 1 + 1 / log2(3)
IDEAL_2 = 2 + 1 / log2(3) + 1 / 2 + 1 / log2(5)


def report(runs: dict[str, Run]) -> LossReport:
    return loss_report(runs, DEEP, QRELS, depth=3, deep=4)


def test_every_number_of_the_account() -> None:
    found = report({"bm25": BM25, "dense": DENSE, "hybrid": HYBRID})
    assert found.recall_ceiling == pytest.approx((2 / 2 + 1 / 4) / 2)
    # the best order of q1's candidates is perfect; of q2's only c, gain 2, can stand first
    assert found.oracle == pytest.approx((1 + 2 / IDEAL_2) / 2)
    by_hand = {
        "bm25": (1 / IDEAL_1 + (1 + 2 / 2) / IDEAL_2) / 2,
        "dense": (1 / IDEAL_1 + 2 / IDEAL_2) / 2,
        "hybrid": ((1 / log2(3) + 1 / 2) / IDEAL_1 + (2 / log2(3)) / IDEAL_2) / 2,
    }
    assert dict(found.alone) == pytest.approx(by_hand)
    assert found.reached == pytest.approx(by_hand["hybrid"])
    assert found.never_share == pytest.approx((1 - found.oracle) / (1 - by_hand["hybrid"]))
    (step,) = found.steps
    assert step.over in ("bm25", "dense")
    assert step.gain == pytest.approx(by_hand["hybrid"] - max(by_hand["bm25"], by_hand["dense"]))
    relevant = found.relevant
    assert (relevant.total, relevant.candidates) == (6, 3)
    assert (relevant.cut_by_fusion, relevant.cut_by_depth, relevant.never) == (1, 1, 1)


def test_missing_candidates_that_stand_deeper_ask_for_depth() -> None:
    perfect = run(q1="abx", q2="czx")
    found = report({"bm25": BM25, "dense": DENSE, "hybrid": perfect})
    what, change = found.advice
    assert what.startswith("100% of what hybrid misses (0.2")
    assert change == (
        "Raise --depth and --rerank-depth: of 3 missed relevant documents the first stages had 1"
        " but fusion cut them at rank 3, and 1 stand between ranks 3 and 4."
    )


def test_missing_candidates_that_are_nowhere_ask_for_another_first_stage() -> None:
    found = loss_report({"bm25": run(q1="abx", q2="cxy")}, {}, QRELS, depth=3, deep=4)
    assert found.relevant.never == 3
    assert found.steps == ()
    assert "of 3 missed relevant documents 3 are not even among its best 4" in found.advice[1]


@pytest.mark.parametrize(
    ("reranked", "words"),
    [
        (None, "Add a cross-encoder"),
        ("axb", "Improve the cross-encoder"),
        ("xba", "Leave rerank out or lower --rerank-weight: it loses 0."),
    ],
)
def test_a_wrong_order_names_the_stage(reranked: str | None, words: str) -> None:
    qrels = {"q1": QRELS["q1"]}
    runs = {"bm25": run(q1="axb")}
    if reranked is not None:
        runs["rerank"] = run(q1=reranked)
    found = loss_report(runs, {}, qrels, depth=3, deep=4)
    assert words in found.advice[1]


def test_nothing_is_missing() -> None:
    found = loss_report({"bm25": run(q1="ab")}, {}, {"q1": QRELS["q1"]}, depth=3, deep=4)
    assert found.advice[1] == "Change nothing."
    assert found.never_share == 0.0


def test_reranking_alone_tells_the_candidates() -> None:
    found = loss_report({"bm25": BM25, "rerank": HYBRID}, {}, QRELS, depth=3, deep=4)
    assert found.candidates_of == "rerank"
    with pytest.raises(ConfigError, match="found no first stage"):
        loss_report({"rerank": HYBRID}, {}, QRELS, depth=3, deep=4)


def test_recall_by_depth() -> None:
    # q1: b first, a fourth; q2: c first, of four
    assert recall_by_depth(DEEP["dense"], QRELS, (1, 3, 4)) == pytest.approx(
        [(1 / 2 + 1 / 4) / 2, (1 / 2 + 1 / 4) / 2, (2 / 2 + 1 / 4) / 2]
    )
