import numpy as np

from scisearch.rerank.batches import Batch, PairParts, fill_batch, plan_batches
from scisearch.rerank.pairs import PairTemplate

TEMPLATE = PairTemplate((1,), (2,), (3,), (0,), (0,), (1,), query_type=0, document_type=1)


def plan(lengths: list[int], tokens: int) -> list[list[int]]:
    return [one.tolist() for one in plan_batches(np.array(lengths, np.int64), lambda: tokens)]


def parts(query: list[int], document: list[int]) -> PairParts:
    return PairParts(np.array(query, np.uint16), np.array(document, np.uint16))


def test_batches_stay_within_the_budget_longest_first() -> None:
    assert plan([5, 9, 3, 9, 4], tokens=18) == [[1, 3], [0, 4, 2]]


def test_equal_lengths_keep_their_order() -> None:
    assert plan([4, 4, 4, 4], tokens=8) == [[0, 1], [2, 3]]


def test_a_pair_over_the_budget_goes_alone() -> None:
    assert plan([50, 2], tokens=10) == [[0], [1]]


def test_nothing_gives_no_batch() -> None:
    assert plan([], tokens=10) == []


def test_a_budget_that_shrinks_is_obeyed_from_the_next_batch_on() -> None:
    budgets = iter([8, 4, 4])
    batches = plan_batches(np.array([4, 4, 4, 4], np.int64), lambda: next(budgets))
    assert [len(rows) for rows in batches] == [2, 1, 1]


def test_rows_are_padded_on_the_right() -> None:
    batch = fill_batch(TEMPLATE, [parts([7], [8, 9]), parts([7], [])], pad_id=5)
    assert batch.input_ids.tolist() == [[1, 7, 2, 8, 9, 3], [1, 7, 2, 3, 5, 5]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]
    assert batch.token_type_ids.tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0]]
    assert batch.input_ids.dtype == np.int64


def test_halves_are_the_batch() -> None:
    batch = fill_batch(TEMPLATE, [parts([i], []) for i in range(3)], pad_id=0)
    first, second = batch.halves()
    assert [len(first), len(second)] == [1, 2]
    whole = Batch(
        np.concatenate([first.input_ids, second.input_ids]),
        np.concatenate([first.attention_mask, second.attention_mask]),
        np.concatenate([first.token_type_ids, second.token_type_ids]),
    )
    assert np.array_equal(whole.input_ids, batch.input_ids)
