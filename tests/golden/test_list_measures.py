"""nDCG@10 and MAP of lists: against ir_measures, and by hand."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scisearch.rerank.training.ranking_measures import average_precision, measure_lists, ndcg

LISTS = st.lists(
    st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=25).filter(
        lambda rows: any(relevant for _, relevant in rows)
    ),
    min_size=1,
    max_size=5,
)


@given(LISTS)
def test_they_are_those_of_ir_measures(lists: list[list[tuple[int, bool]]]) -> None:
    qrels, run = [], []
    for query, rows in enumerate(lists):
        # ties at their worst, as ours are: the irrelevant first
        order = sorted(rows, key=lambda row: (-row[0], row[1]))
        for place, (_, relevant) in enumerate(order):
            qrels.append(ir_measures.Qrel(f"q{query}", f"d{place}", int(relevant)))
            run.append(ir_measures.ScoredDoc(f"q{query}", f"d{place}", float(-place)))
    wanted = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.AP], qrels, run)
    found = measure_lists(
        [np.array([score for score, _ in rows], np.float32) for rows in lists],
        [np.array([relevant for _, relevant in rows]) for rows in lists],
    )
    assert found.ndcg == pytest.approx(wanted[ir_measures.nDCG @ 10], abs=1e-6)
    assert found.average_precision == pytest.approx(wanted[ir_measures.AP], abs=1e-6)


def test_by_hand() -> None:
    ranked = np.array([False, True, True, False])
    assert ndcg(ranked) == pytest.approx((1 / np.log2(3) + 1 / 2) / (1 + 1 / np.log2(3)))
    assert average_precision(ranked) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_model_that_scores_all_alike_gains_nothing_from_the_order_of_its_input() -> None:
    relevant = np.array([True, False, False, False])
    found = measure_lists([np.zeros(4, np.float32)], [relevant])
    assert found.average_precision == pytest.approx(1 / 4)
