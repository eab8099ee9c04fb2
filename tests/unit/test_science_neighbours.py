"""Documents two steps from a list: of lists that share one with it, none of its own."""

from typing import Any, cast

import numpy as np

from scisearch.benchmarks.science_training.neighbours import Neighbours
from scisearch.benchmarks.science_training.packed import PackedLists, Ragged


class Lists:
    """The negatives of n lists over `documents` documents, which is all that is asked for."""

    def __init__(self, negatives: list[list[int]], documents: int) -> None:
        self.negatives = Ragged.of([np.array(row, np.int32) for row in negatives], np.int32)
        self.titles = [0] * documents

    def __len__(self) -> int:
        return len(self.negatives)

    def of_negatives(self, row: int) -> tuple[Any, Any]:
        return self.negatives[row], None


def neighbours(negatives: list[list[int]], documents: int = 12) -> Neighbours:
    return Neighbours(cast(PackedLists, Lists(negatives, documents)))


def test_they_are_of_lists_that_share_a_document_and_not_the_list_s_own() -> None:
    # list 1 shares 2 with list 0; list 2 shares none with it, but 5 with list 1
    found = neighbours([[0, 1, 2], [2, 4, 5], [5, 6, 7]])
    draw = np.random.default_rng(0)
    drawn = [found.of(0, {0, 1, 2, 4}, draw) for _ in range(200)]
    assert set(drawn) <= {5, None}  # 4 is its own, 6 and 7 are three steps away
    assert 5 in drawn
    of_the_middle = {found.of(1, {2, 4, 5}, draw) for _ in range(200)}
    assert of_the_middle - {None} == {0, 1, 6, 7}


def test_a_list_that_shares_nothing_or_has_no_negatives_has_none() -> None:
    found = neighbours([[0, 1], [], [2]])
    draw = np.random.default_rng(0)
    assert {found.of(row, {0, 1, 2}, draw) for row in (0, 1, 2) for _ in range(20)} == {None}
