import numpy as np
import pytest

from scisearch.index.errors import ConfigError
from scisearch.rerank.passages import (
    LONG_DOCUMENTS,
    LongDocuments,
    best_passages,
    check_long_documents,
    pair_passages,
    passage_windows,
)

QUERY = np.array([1, 2], np.uint16)
DOCUMENT = np.arange(10, 20, dtype=np.uint16)


@pytest.mark.parametrize(
    ("length", "width", "stride", "windows"),
    [
        (0, 4, 2, [(0, 0)]),
        (4, 4, 2, [(0, 4)]),
        (5, 4, 2, [(0, 4), (1, 5)]),
        (8, 4, 2, [(0, 4), (2, 6), (4, 8)]),
        (9, 4, 2, [(0, 4), (2, 6), (4, 8), (5, 9)]),
        (9, 4, 4, [(0, 4), (4, 8), (5, 9)]),
    ],
)
def test_windows(length: int, width: int, stride: int, windows: list[tuple[int, int]]) -> None:
    assert passage_windows(length, width, stride=stride) == windows


@pytest.mark.parametrize("long", LONG_DOCUMENTS)
def test_a_document_that_fits_is_one_passage_either_way(long: LongDocuments) -> None:
    passages = pair_passages(QUERY, DOCUMENT, document_length=10, room=12, long=long)
    assert [part.document_ids.tolist() for part in passages.parts] == [DOCUMENT.tolist()]
    assert passages.dropped == 0


def test_cut_keeps_the_beginning_and_counts_the_rest() -> None:
    passages = pair_passages(QUERY, DOCUMENT, document_length=10, room=8)
    assert [part.document_ids.tolist() for part in passages.parts] == [[10, 11, 12, 13, 14, 15]]
    assert passages.dropped == 4


def test_maxp_covers_the_whole_document() -> None:
    passages = pair_passages(QUERY, DOCUMENT, document_length=10, room=8, long="maxp")
    windows = [part.document_ids.tolist() for part in passages.parts]
    assert windows == [list(range(10, 16)), list(range(13, 19)), list(range(14, 20))]
    assert all(part.query_ids.tolist() == [1, 2] for part in passages.parts)
    assert passages.dropped == 0


@pytest.mark.parametrize(("long", "dropped"), [("cut", 94), ("maxp", 90)])
def test_ids_that_the_store_left_out_are_counted(long: LongDocuments, dropped: int) -> None:
    passages = pair_passages(QUERY, DOCUMENT, document_length=100, room=8, long=long)
    assert passages.dropped == dropped


def test_a_long_query_leaves_half_of_the_room() -> None:
    query = np.arange(50, dtype=np.uint16)
    passages = pair_passages(query, DOCUMENT, document_length=10, room=8, long="maxp")
    assert len(passages.parts[0].query_ids) == 4
    assert passages.dropped == 46


def test_the_best_passage_counts() -> None:
    scores = np.array([1, 5, 2, -3, -1, -2], np.float32)
    assert best_passages(scores, [3, 1, 2]).tolist() == [5, -3, -1]
    assert best_passages(np.empty(0, np.float32), []).tolist() == []
    assert np.isnan(best_passages(np.array([1, np.nan], np.float32), [2])).all()


def test_another_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="'split'; expected one of cut, maxp"):
        check_long_documents("split")
