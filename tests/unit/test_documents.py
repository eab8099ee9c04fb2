import datetime as dt
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from scisearch.index.documents import (
    BATCH_BYTES,
    ORDER_FILE,
    Document,
    Documents,
    DocumentWriter,
    full_text,
)
from scisearch.index.errors import CorruptIndexError


def written(folder: Path, columns: Mapping[str, object], batch_rows: int = 1024) -> Path:
    table = pa.table(dict(columns))
    path = folder / "documents.arrow"
    with DocumentWriter(path, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=batch_rows):
            writer.write(batch)
    return path


def numbered(count: int) -> dict[str, list[str]]:
    return {
        "doc_id": [f"d{i}" for i in range(count)],
        "title": [f"title {i}" for i in range(count)],
        "text": [f"text {i}" for i in range(count)],
    }


def test_full_text_is_title_space_text_without_outer_space() -> None:
    assert full_text("A", "b") == "A b"
    assert full_text("", "b") == "b"
    assert full_text("A", "") == "A"
    assert full_text("A", "b", 3) == "A A A b"
    assert full_text("", "b", 3) == "b"
    assert full_text(" A\n", " b ") == "A\n  b"


def test_get_returns_all_columns_as_python_values(tmp_path: Path) -> None:
    when = dt.datetime(2020, 1, 2, 3, 4, 5)
    table = {
        "doc_id": ["a"],
        "title": ["A"],
        "text": ["t"],
        "authors": [["x", "y"]],
        "when": pa.array([when], pa.timestamp("ns")),
        "fine": pa.array([1], pa.timestamp("ns")),
        "far": pa.array([10**12], pa.timestamp("s")),
        "year": pa.array([None], pa.int64()),
    }
    documents = Documents.open(written(tmp_path, table))
    metadata = {
        "authors": ["x", "y"],
        "when": when,
        "fine": dt.datetime(1970, 1, 1),
        "far": "1000000000000 timestamp[s]",
        "year": None,
    }
    assert documents.get(0) == Document("a", "A", "t", metadata)


@pytest.mark.parametrize("batch_rows", [1, 1000, 9000, 20_000])
def test_any_ordinal_is_found_in_any_batch(
    tmp_path: Path, batch_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scisearch.index.documents.BATCH_ROWS", 8192)
    documents = Documents.open(written(tmp_path, numbered(20_000), batch_rows))
    assert len(documents) == 20_000
    assert documents.column("text").num_chunks > 1
    for i in (0, 8191, 8192, 8999, 9000, 16_383, 16_384, 19_999):
        assert documents.get(i) == Document(f"d{i}", f"title {i}", f"text {i}", {})
    assert documents.doc_ids(np.array([19_999, 3, 3])) == ["d19999", "d3", "d3"]
    assert documents.full_texts([8192]) == ["title 8192 text 8192"]


@pytest.mark.parametrize("ordinal", [-1, 3])
def test_an_ordinal_outside_is_an_error(tmp_path: Path, ordinal: int) -> None:
    documents = Documents.open(written(tmp_path, numbered(3)))
    with pytest.raises(IndexError, match=rf"ordinal {ordinal}, expected 0 to 2"):
        documents.get(ordinal)


def test_record_batches_are_bounded_in_rows_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"doc_id": [str(i) for i in range(30)], "title": [""] * 30, "text": ["x" * 2**21] * 30}
    documents = Documents.open(written(tmp_path, table))
    chunks = documents.column("text").chunks
    assert max(chunk.nbytes for chunk in chunks) < 2 * BATCH_BYTES
    assert sum(map(len, chunks)) == 30
    monkeypatch.setattr("scisearch.index.documents.BATCH_ROWS", 100)
    documents = Documents.open(written(tmp_path, numbered(950), 64))
    assert [len(chunk) for chunk in documents.column("text").chunks] == [128] * 7 + [54]


def test_iter_full_texts_goes_through_all_in_order(tmp_path: Path) -> None:
    documents = Documents.open(written(tmp_path, numbered(9000)))
    batches = list(documents.iter_full_texts(400))
    assert [len(batch) for batch in batches] == [400] * 22 + [200]
    assert [text for batch in batches for text in batch] == documents.full_texts(range(9000))


def test_ids_in_rising_order_and_back(tmp_path: Path) -> None:
    ids = ["b", "é", "B", "10", "2", "😀", "\ufb01", "a"]
    n = len(ids)
    table = {"doc_id": ids, "title": [""] * n, "text": ["t"] * n}
    documents = Documents.open(written(tmp_path, table))
    assert documents.id_rank.dtype == np.int32
    assert [sorted(ids).index(doc_id) for doc_id in ids] == documents.id_rank.tolist()
    assert [documents.ordinal(doc_id) for doc_id in ids] == list(range(n))
    assert [documents.ordinal(absent) for absent in ("", "bb", "zzz", "😁")] == [None] * 4


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="year"):
        Documents.open(written(tmp_path, numbered(1))).column("year")


def test_many_threads_read_the_same_documents(tmp_path: Path) -> None:
    documents = Documents.open(written(tmp_path, numbered(10_000)))

    def look(seed: int) -> bool:
        chosen: Sequence[int] = np.random.default_rng(seed).integers(0, 10_000, 200).tolist()
        ids = [documents.get(i).doc_id for i in chosen]
        return ids == [f"d{i}" for i in chosen] == documents.doc_ids(chosen)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(look, range(8)))
        assert all(pool.map(lambda i: documents.ordinal(f"d{i}") == i, range(200)))


def test_no_documents(tmp_path: Path) -> None:
    schema = pa.schema([(name, pa.string()) for name in ("doc_id", "title", "text")])
    path = tmp_path / "documents.arrow"
    with DocumentWriter(path, schema):
        pass
    documents = Documents.open(path)
    assert len(documents) == 0
    assert list(documents.iter_full_texts(5)) == []
    assert documents.ordinal("a") is None


def test_an_exception_while_writing_leaves_no_order_file(tmp_path: Path) -> None:
    path = tmp_path / "documents.arrow"
    table = pa.table(numbered(3))

    def stop_half_way() -> None:
        with DocumentWriter(path, table.schema) as writer:
            writer.write(table.to_batches()[0])
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stop_half_way()
    assert not path.with_name(ORDER_FILE).exists()
    with pytest.raises(CorruptIndexError, match=r"documents\.arrow: cannot be opened"):
        Documents.open(path)


def test_a_missing_or_damaged_file(tmp_path: Path) -> None:
    path = written(tmp_path, numbered(100))
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(CorruptIndexError, match=r"cannot be opened \(.*\); build the index again"):
        Documents.open(path)
    path.unlink()
    with pytest.raises(CorruptIndexError, match="cannot be opened"):
        Documents.open(path)
    path.write_bytes(whole)
    np.save(path.with_name(ORDER_FILE), np.arange(99))
    with pytest.raises(CorruptIndexError, match=r"int64 \(99,\), expected int64 \(100,\)"):
        Documents.open(path)
    path.with_name(ORDER_FILE).unlink()
    with pytest.raises(CorruptIndexError, match="cannot be opened"):
        Documents.open(path)


def test_other_columns_are_no_documents(tmp_path: Path) -> None:
    path = written(tmp_path, {"title": ["a"], "doc_id": ["b"], "text": ["c"]})
    with pytest.raises(CorruptIndexError, match=r"columns \['title', 'doc_id', 'text'\], expected"):
        Documents.open(path)
