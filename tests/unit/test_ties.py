"""Ties as our run files write them, and what the best and worst order of them gives."""

import numpy as np
import pytest

from scisearch.benchmarks.card import MEASURES, quality
from scisearch.benchmarks.scoring import evaluate
from scisearch.benchmarks.ties import ties_reordered, written_ties
from scisearch.retrieval.ranking import Hit, Query, RankedList, strictly_decreasing

RAW = np.array([0.75, 0.5, 0.5, 0.5, 0.25], np.float32)
SCORES = strictly_decreasing(RAW).tolist()
LIST = RankedList("q", tuple(map(Hit, ("top", "a", "b", "c", "last"), SCORES)))


def test_what_strictly_decreasing_parted_is_a_tie_again() -> None:
    assert len(set(SCORES)) == 5
    groups = [[hit.doc_id for hit in group] for group in written_ties(LIST.hits)]
    assert groups == [["top"], ["a", "b", "c"], ["last"]]
    assert list(written_ties(())) == []


def test_the_bounds_are_the_worst_and_the_best_of_all_orders() -> None:
    """Three tied documents: unjudged, judged not relevant, relevant; all six orders evaluated."""
    qrels = {"q": {"c": 2, "b": 0, "top": 0, "far": 1}}
    orders = [
        [*"abc"], [*"acb"], [*"bac"], [*"bca"], [*"cab"], [*"cba"],
    ]  # fmt: skip
    values: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for order in orders:
        places = {doc_id: -float(i) for i, doc_id in enumerate(["top", *order, "last"])}
        found = evaluate({"q": RankedList.from_scores("q", places)}, qrels, MEASURES).mean
        for measure in MEASURES:
            values[measure].append(found[measure])
    best, tied = ties_reordered({"q": LIST}, qrels, best=True)
    worst, _ = ties_reordered({"q": LIST}, qrels, best=False)
    assert tied == 3
    high, low = (evaluate(run, qrels, MEASURES).mean for run in (best, worst))
    for measure in MEASURES:
        assert high[measure] == max(values[measure]), measure
        assert low[measure] == min(values[measure]), measure
    assert low["RR@10"] < high["RR@10"]


def test_the_card_has_an_interval_for_every_measure() -> None:
    qrels = {"q": {"b": 1, "a": 0}}
    found = quality({"bm25": {"q": LIST}}, qrels, [Query("q", "text")])
    ties = found["systems"]["bm25"]["ties"]
    assert ties["hits"] == 3
    assert list(ties["intervals"]) == list(MEASURES)
    assert ties["intervals"]["RR@10"] == pytest.approx([1 / 4, 1 / 2])
    assert ties["intervals"]["R@100"] == [1.0, 1.0]
    apart = RankedList.from_scores("q", {"a": 2.0, "b": 1.0})
    none = quality({"bm25": {"q": apart}}, qrels, [Query("q", "text")])["systems"]["bm25"]
    assert none["ties"]["hits"] == 0
    assert none["ties"]["intervals"]["RR@10"] == [0.5, 0.5]
