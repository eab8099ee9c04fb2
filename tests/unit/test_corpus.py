import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scisearch.index.corpus import ColumnNames, Corpus, Reject, open_corpus
from scisearch.index.errors import CorpusError

GOOD = {"doc_id": ["a", "b"], "title": ["A", "B"], "text": ["one", "two"]}


def parquet(folder: Path, columns: Mapping[str, object], name: str = "corpus.parquet") -> Path:
    path = folder / name
    pq.write_table(pa.table(dict(columns)), path)
    return path


def read(corpus: Corpus) -> tuple[list[dict[str, object]], list[Reject]]:
    rows: list[dict[str, object]] = []
    rejects: list[Reject] = []
    for batch in corpus.batches():
        assert batch.rows.schema == corpus.schema
        rows += batch.rows.to_pylist()
        rejects += batch.rejects
    return rows, rejects


def ids(rows: Sequence[Mapping[str, object]]) -> list[object]:
    return [row["doc_id"] for row in rows]


@pytest.mark.parametrize(
    "names",
    [
        ("doc_id", "title", "text"),
        ("_id", "Title", "ABSTRACT"),
        ("docno", "title", "contents"),
        ("Paper ID", "paper_title", "body"),
        ("corpusid", "title", "content"),
        ("PMID", "articleTitle", "Abstract"),
    ],
)
def test_columns_are_found_by_their_usual_names(tmp_path: Path, names: Sequence[str]) -> None:
    path = parquet(tmp_path, {name: [f"of-{name}".replace(" ", "")] for name in ("year", *names)})
    rows, _ = read(open_corpus(path))
    assert list(rows[0]) == ["doc_id", "title", "text", "year"]
    given = [f"of-{name}".replace(" ", "") for name in (*names, "year")]
    assert list(rows[0].values()) == given


def test_the_usual_name_doc_id_wins_over_its_synonyms(tmp_path: Path) -> None:
    path = parquet(tmp_path, {**GOOD, "id": [7, 8], "abstract": ["x", "y"], "doi": ["p", "q"]})
    rows, _ = read(open_corpus(path))
    assert rows[0] == {
        "doc_id": "a",
        "title": "A",
        "text": "one",
        "id": 7,
        "abstract": "x",
        "doi": "p",
    }


def test_two_synonyms_are_a_question(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"id": ["a"], "docno": ["b"], "text": ["t"]})
    with pytest.raises(CorpusError, match=r"'id', 'docno' could each be the id .*--id-column"):
        open_corpus(path)
    assert ids(read(open_corpus(path, ColumnNames(doc_id="docno")))[0]) == ["b"]


def test_a_named_column_that_is_absent_is_an_error_that_lists_the_others(tmp_path: Path) -> None:
    path = parquet(tmp_path, GOOD)
    expected = r"no title column: found 'doc_id', 'title', 'text', expected 'Name'; .*--title-col"
    with pytest.raises(CorpusError, match=expected):
        open_corpus(path, ColumnNames(title="Name"))


def test_parquet_without_a_text_column(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"doc_id": ["a"], "title": ["A"], "year": [1999]})
    expected = r"^[^\n]*no text column: found 'doc_id', 'title', 'year', .*--text-column$"
    with pytest.raises(CorpusError, match=expected):
        open_corpus(path)


def test_one_column_cannot_play_two_parts(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"doc_id": ["a"], "text": ["t"]})
    with pytest.raises(CorpusError, match="must be three columns, got 'doc_id', 'text', 'text'"):
        open_corpus(path, ColumnNames(title="text"))


def test_a_corpus_without_titles_has_empty_titles(tmp_path: Path) -> None:
    rows, rejects = read(open_corpus(parquet(tmp_path, {"id": ["a"], "text": ["t"]})))
    assert rows == [{"doc_id": "a", "title": "", "text": "t"}]
    assert rejects == []


def test_metadata_columns_never_take_a_reserved_or_a_used_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays(
        [pa.array([value]) for value in ("a", "t", "x", "y", "z", "u", "v")],
        names=["_id", "text", "doc_id", "Text", "title", "doc_id_2", "doc_id_2"],
    )
    pq.write_table(table, tmp_path / "c.parquet")
    corpus = open_corpus(tmp_path / "c.parquet", ColumnNames(doc_id="_id", title="title"))
    assert corpus.schema.names == [
        "doc_id",
        "title",
        "text",
        "doc_id_3",
        "Text",
        "doc_id_2",
        "doc_id_2_2",
    ]
    assert list(read(corpus)[0][0].values()) == ["a", "z", "t", "x", "y", "u", "v"]


def test_integer_ids_become_decimal_text(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"id": pa.array([12, 2**63, 0], pa.uint64()), "text": ["t"] * 3})
    assert ids(read(open_corpus(path))[0]) == ["12", "9223372036854775808", "0"]


def test_float_ids_are_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"id": [12.0, 13.0], "text": ["t", "u"]})
    with pytest.raises(CorpusError, match="id column 'id' is double, expected text or whole"):
        open_corpus(path)


def test_a_text_column_of_numbers_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"id": ["a"], "text": [1]})
    with pytest.raises(CorpusError, match=r"text column 'text' is int64, expected text; .*--text"):
        open_corpus(path)


def test_rows_that_cannot_be_indexed_are_rejected_with_their_row_and_reason(
    tmp_path: Path,
) -> None:
    table = {
        "doc_id": ["a", None, "", "a", "b c", "d\te", "f", "g", "h", "i", "é"],
        "title": ["A", "t", "t", "again", "t", "t", " \n", None, "only a title", None, "t"],
        "text": ["one", "x", "x", "x", "x", "x", "\x00 ", None, "", "only a text", "x"],
        "year": list(range(11)),
    }
    rows, rejects = read(open_corpus(parquet(tmp_path, table), batch_rows=3))
    assert [(r["doc_id"], r["year"]) for r in rows] == [("a", 0), ("h", 8), ("i", 9), ("é", 10)]
    space = "id holds white space or a control character"
    assert rejects == [
        Reject(1, None, "no id"),
        Reject(2, None, "no id"),
        Reject(3, "a", "duplicate id: an earlier row has it"),
        Reject(4, "b c", space),
        Reject(5, "d\te", space),
        Reject(6, "f", "neither a title nor a text"),
        Reject(7, "g", "neither a title nor a text"),
    ]


def test_a_row_that_is_rejected_does_not_reserve_its_id(tmp_path: Path) -> None:
    rows, rejects = read(open_corpus(parquet(tmp_path, {"id": ["a", "a"], "text": ["", "t"]})))
    assert [row["text"] for row in rows] == ["t"]
    assert [reject.row for reject in rejects] == [0]


def test_duplicates_are_found_again_on_a_second_reading(tmp_path: Path) -> None:
    corpus = open_corpus(parquet(tmp_path, {"id": ["a", "b", "a"], "text": ["t", "u", "v"]}))
    assert read(corpus) == read(corpus)
    assert len(read(corpus)[1]) == 1


def test_nul_characters_become_spaces(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"id": ["a"], "title": ["\x00T"], "text": ["o\x00ne"]})
    assert read(open_corpus(path))[0][0] == {"doc_id": "a", "title": " T", "text": "o ne"}


def test_bytes_that_are_not_utf8_cost_one_row(tmp_path: Path) -> None:
    def mislabelled(values: Sequence[bytes]) -> pa.Array:
        return pa.Array.from_buffers(pa.string(), len(values), pa.array(values).buffers())

    table = {
        "id": mislabelled([b"a", b"\xff", b"c", b"d"]),
        "text": mislabelled([b"one", b"two", b"\xc3", b"four"]),
        "venue": mislabelled([b"x", b"x", b"x", b"\x80"]),
    }
    rows, rejects = read(open_corpus(parquet(tmp_path, table)))
    assert rows == [{"doc_id": "a", "title": "", "text": "one", "venue": "x"}]
    assert rejects == [
        Reject(1, None, "id is not UTF-8 at byte 0"),
        Reject(2, "c", "text is not UTF-8 at byte 0"),
        Reject(3, None, "a metadata column holds bytes that are not UTF-8"),
    ]


def test_ids_and_texts_may_be_stored_as_bytes_dictionaries_or_wide_strings(
    tmp_path: Path,
) -> None:
    table = {
        "id": pa.array([b"a", b"b"]),
        "title": pa.array(["same", "same"]).dictionary_encode(),
        "text": pa.array(["one", None], pa.large_string()),
    }
    rows, _ = read(open_corpus(parquet(tmp_path, table)))
    assert rows == [
        {"doc_id": "a", "title": "same", "text": "one"},
        {"doc_id": "b", "title": "same", "text": ""},
    ]


def test_five_megabyte_documents(tmp_path: Path) -> None:
    texts = [f"{i}" + " word" * 1_000_000 for i in range(7)]
    path = parquet(tmp_path, {"id": list("abcdefg"), "text": texts})
    batches = list(open_corpus(path).batches())
    assert [text for batch in batches for text in batch.rows["text"].to_pylist()] == texts
    assert max(batch.rows.nbytes for batch in batches) < 32 * 2**20


@pytest.mark.parametrize("name", ["absent.parquet", "absent.jsonl", "absent"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError, match=rf"{name}: no such file or folder"):
        open_corpus(tmp_path / name)


def test_a_folder_that_is_no_collection(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"is a folder without corpus.jsonl, .*corpus.parquet"):
        open_corpus(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("c.parquet", b"", r"not a complete Parquet file \(0 bytes"),
        ("c.parquet", b"PAR1 and then nothing", "not a complete Parquet file"),
        ("c.jsonl", b"", "no rows"),
        ("c.jsonl", b"\n \n", "no rows"),
        ("c.csv", b"id,text\n", "no rows"),
        ("c.csv", b"", "no header row"),
        ("c.pdf", b"%PDF", r"unknown format '\.pdf', expected \.parquet"),
        ("c.jsonl", b"[1]\n2\n", "none of its 2 rows can be read; line 1: expected a JSON object"),
        ("c.jsonl.gz", b"plain", "cannot be read to its end"),
        ("c.jsonl.gz", gzip.compress(b'{"id": 1}\n' * 999)[:-9], "cannot be read to its end"),
    ],
)
def test_a_file_that_is_no_corpus(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=rf"^[^\n]*{expected}[^\n]*$"):
        open_corpus(tmp_path / name)


def test_an_empty_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path, {name: pa.array([], pa.string()) for name in GOOD})
    with pytest.raises(CorpusError, match="no rows, expected at least one document"):
        open_corpus(path)


def test_a_truncated_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"id": [str(i) for i in range(5000)], "text": ["t"] * 5000})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorpusError, match=r"^[^\n]*not a complete Parquet file[^\n]*again$"):
        open_corpus(path)


def test_a_parquet_damaged_in_the_middle(tmp_path: Path) -> None:
    words = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(4000)]
    path = parquet(tmp_path, {"id": words, "text": words})
    content = bytearray(path.read_bytes())
    for place in range(200, len(content) // 2, 7):
        content[place] ^= 0xFF
    path.write_bytes(content)
    corpus = open_corpus(path)
    with pytest.raises(CorpusError, match=r"damaged Parquet after row 0 of 4000 \("):
        list(corpus.batches())


def test_n_rows_counts_all_rows(tmp_path: Path) -> None:
    assert open_corpus(parquet(tmp_path, {"id": ["a", "a"], "text": ["t", "t"]})).n_rows == 2
    (tmp_path / "c.jsonl").write_text('{"id": 1, "text": "t"}\nbroken\n')
    assert open_corpus(tmp_path / "c.jsonl").n_rows == 2


def test_the_digest_depends_on_the_bytes_and_on_the_columns_chosen(tmp_path: Path) -> None:
    table = {**GOOD, "abstract": ["x", "y"]}
    path = parquet(tmp_path, table)
    digest = open_corpus(path).digest()
    assert re.fullmatch("[0-9a-f]{64}", digest)
    copy = parquet(tmp_path, table, "copy.parquet")
    assert open_corpus(copy).digest() == digest
    assert open_corpus(path, ColumnNames(text="abstract")).digest() != digest
    other = parquet(tmp_path, {**table, "text": ["one", "three"]}, "other.parquet")
    assert open_corpus(other).digest() != digest
