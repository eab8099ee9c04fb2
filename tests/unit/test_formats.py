import csv
import datetime as dt
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scisearch.index.corpus import Corpus, Reject, open_corpus
from scisearch.index.errors import CorpusError


def jsonl(folder: Path, *rows: object, name: str = "c.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def read(corpus: Corpus) -> tuple[list[dict[str, object]], list[Reject]]:
    batches = list(corpus.batches())
    assert all(batch.rows.schema == corpus.schema for batch in batches)
    rows = [row for batch in batches for row in batch.rows.to_pylist()]
    return rows, [reject for batch in batches for reject in batch.rejects]


def column(path: Path, name: str) -> tuple[pa.DataType, list[object]]:
    corpus = open_corpus(path, batch_rows=2)
    rows, rejects = read(corpus)
    assert rejects == []
    return corpus.schema.field(name).type, [row[name] for row in rows]


@pytest.mark.parametrize(
    ("values", "expected_type", "expected"),
    [
        ([1, 2, None], pa.int64(), [1, 2, None]),
        ([1, None, 2.5], pa.float64(), [1.0, None, 2.5]),
        ([2**60 + 1, 0.5], pa.float64(), [float(2**60), 0.5]),
        ([True, None], pa.bool_(), [True, None]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([None, None], pa.string(), [None, None]),
        (["a", 1, 2.5], pa.string(), ["a", "1", "2.5"]),
        ([2**63, 1], pa.string(), ["9223372036854775808", "1"]),
        ([{"a": [1]}, None], pa.string(), ['{"a": [1]}', None]),
        ([["a"], None, []], pa.list_(pa.string()), [["a"], None, []]),
        ([[1], [2.5, None]], pa.list_(pa.float64()), [[1.0], [2.5, None]]),
        (["A", ["B", "C"]], pa.list_(pa.string()), [["A"], ["B", "C"]]),
        ([[[1]], [2]], pa.list_(pa.string()), [["[1]"], ["2"]]),
    ],
)
def test_the_type_of_a_json_key_holds_all_its_values(
    tmp_path: Path, values: list[object], expected_type: pa.DataType, expected: list[object]
) -> None:
    rows = [{"id": i, "text": "t", "m": value} for i, value in enumerate(values)]
    assert column(jsonl(tmp_path, *rows), "m") == (expected_type, expected)
    backwards = column(jsonl(tmp_path, *reversed(rows)), "m")
    assert backwards == (expected_type, expected[::-1])


def test_a_key_may_be_missing_and_may_come_late(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": "t"} for i in range(5)]
    path = jsonl(tmp_path, *rows, {"id": "5", "text": "t", "year": 2001})
    assert column(path, "year") == (pa.int64(), [None] * 5 + [2001])


@pytest.mark.parametrize("as_folder", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_a_beir_collection(tmp_path: Path, as_folder: bool, packed: bool) -> None:
    lines = [
        '{"_id": "d1", "title": "T", "text": "x", "metadata": {"year": 1999, "url": "u"}}',
        '{"_id": "d2", "title": "", "text": "y", "metadata": {}}',
    ]
    content = "\n".join(lines).encode()
    name = "corpus.jsonl.gz" if packed else "corpus.jsonl"
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    corpus = open_corpus(tmp_path if as_folder else tmp_path / name)
    assert read(corpus)[0] == [
        {"doc_id": "d1", "title": "T", "text": "x", "year": 1999, "url": "u"},
        {"doc_id": "d2", "title": "", "text": "y", "year": None, "url": None},
    ]
    assert corpus.path == tmp_path / name


def test_keys_inside_metadata_are_never_the_id_or_the_text(tmp_path: Path) -> None:
    rows = {"_id": "d", "text": "x", "metadata": {"doc_id": 1, "title": "no", "pmid": 7}}
    assert read(open_corpus(jsonl(tmp_path, rows)))[0] == [
        {"doc_id": "d", "title": "", "text": "x", "doc_id_2": 1, "title_2": "no", "pmid": 7}
    ]


def test_a_folder_with_parquet_and_a_folder_with_two_corpora(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "text": ["t"]}), tmp_path / "corpus.parquet")
    assert open_corpus(tmp_path).path.name == "corpus.parquet"
    jsonl(tmp_path, {"id": "a", "text": "t"}, name="corpus.jsonl")
    expected = r"holds corpus\.jsonl and corpus\.parquet; give the one"
    with pytest.raises(CorpusError, match=expected):
        open_corpus(tmp_path)


def test_parquet_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "text": ["t"]}), tmp_path / "data")
    assert open_corpus(tmp_path / "data").n_rows == 1


def test_json_lines_that_are_no_documents_are_rejected(tmp_path: Path) -> None:
    lines = [
        b"\xef\xbb\xbf" + b'{"id": "a", "title": null, "text": "one"}',
        b"",
        b'{"id": "b", "text": ',
        b"[1, 2]",
        b'{"id": "c", "text": "\xff"}',
        b'{"id": "d", "text": "half \\ud83d"}',
        b'{"id": "e", "text": ["not", "text"]}',
        b'{"id": "f", "text": "t", "title": 5}',
        b'{"id": 12.0, "text": "t"}',
        b'{"id": true, "text": "t"}',
        b'{"text": "t"}',
        b'{"id": "g", "text": "\\ud83d\\ude00 \\u0000", "y": NaN}',
        b'{"id": "h", "text": ' + b"[" * 100_000,
        b'{"id": 7, "text": "t"}\r',
    ]
    (tmp_path / "c.jsonl").write_bytes(b"\n".join(lines))
    rows, rejects = read(open_corpus(tmp_path / "c.jsonl", batch_rows=2))
    assert rows == [
        {"doc_id": "a", "title": "", "text": "one", "y": None},
        {"doc_id": "g", "title": "", "text": "😀  ", "y": None},
        {"doc_id": "7", "title": "", "text": "t", "y": None},
    ]
    reasons = [(r.row, r.line, r.doc_id, r.reason) for r in rejects]
    assert [reason[:3] for reason in reasons] == [
        (1, 3, None),
        (2, 4, None),
        (3, 5, None),
        (4, 6, None),
        (5, 7, "e"),
        (6, 8, "f"),
        (7, 9, None),
        (8, 10, None),
        (9, 11, None),
        (11, 13, None),
    ]
    said = [reason[3] for reason in reasons]
    assert said[0].startswith("not JSON: Expecting value")
    assert said[9].startswith("not JSON: ")
    assert said[1:9] == [
        "expected a JSON object, got list",
        "byte 21 of the line is not UTF-8",
        "half of a surrogate pair is not Unicode text",
        "text is a list, expected text",
        "title is a int, expected text",
        "id 12.0 is a float, expected text or a whole number",
        "id True is a bool, expected text or a whole number",
        "no id",
    ]


def test_json_keys_that_are_data_are_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"id": "a", "text": "t", **{str(i): i for i in range(1001)}})
    with pytest.raises(CorpusError, match=r"c\.jsonl:1: over 1000 columns so far"):
        open_corpus(path)


def test_a_line_longer_than_any_document_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scisearch.index.text_rows.MAX_ROW_BYTES", 2**20)
    path = jsonl(tmp_path, {"id": "a", "text": "t"}, {"id": "b", "text": "t" * 2**20})
    with pytest.raises(CorpusError, match=r"c\.jsonl:2: a line of over 1 MB"):
        open_corpus(path)


@pytest.mark.parametrize(
    ("cells", "expected_type", "expected"),
    [
        (["1", "", "-2"], pa.int64(), [1, None, -2]),
        (["1", "2.5", ".5", "1e3"], pa.float64(), [1.0, 2.5, 0.5, 1000.0]),
        (["true", "False", ""], pa.bool_(), [True, False, None]),
        (["007", "1", ""], pa.string(), ["007", "1", None]),
        (["1e999", "1"], pa.string(), ["1e999", "1"]),
        (["NA", "1.50"], pa.string(), ["NA", "1.50"]),
        (["true", "1"], pa.string(), ["true", "1"]),
        (["9223372036854775808"], pa.string(), ["9223372036854775808"]),
        (["", ""], pa.string(), [None, None]),
        (["1_000", "e5", ".", "-"], pa.string(), ["1_000", "e5", ".", "-"]),
    ],
)
def test_the_type_of_a_csv_column_holds_all_its_cells(
    tmp_path: Path, cells: Sequence[str], expected_type: pa.DataType, expected: list[object]
) -> None:
    path = tmp_path / "c.csv"
    lines = [f"{i},t,{cell}" for i, cell in enumerate(cells)]
    path.write_text("\n".join(["id,text,m", *lines]))
    assert column(path, "m") == (expected_type, expected)


@pytest.mark.parametrize(("name", "delimiter"), [("c.csv", ","), ("c.tsv", "\t")])
def test_quoted_fields_hold_delimiters_quotes_and_line_breaks(
    tmp_path: Path, name: str, delimiter: str
) -> None:
    rows = [["01", "T, \t", 'He said "x"\nand left\r\n.'], ["1", "", "t"]]
    with (tmp_path / name).open("w", encoding="utf-8-sig", newline="") as handle:
        csv.writer(handle, delimiter=delimiter).writerows([["id", "title", "text"], *rows])
    found, rejects = read(open_corpus(tmp_path / name))
    assert [list(row.values()) for row in found] == rows
    assert rejects == []


def test_csv_rows_that_are_no_documents_are_rejected(tmp_path: Path) -> None:
    content = (
        b"id,text,year\n"
        b"a,one,1\n"
        b"b,two\n"
        b"\n"
        b'c,"two\nlines",2\n'
        b'd,"bad" quote,3\n'
        b"e,\xff,4\n"
        b",t,5\n"
        b"f,,6\n"
        b'g,"never closed,7\n'
    )
    (tmp_path / "c.csv").write_bytes(content)
    rows, rejects = read(open_corpus(tmp_path / "c.csv", batch_rows=2))
    assert [(row["doc_id"], row["text"], row["year"]) for row in rows] == [
        ("a", "one", 1),
        ("c", "two\nlines", 2),
    ]
    assert [(r.row, r.line, r.reason) for r in rejects] == [
        (1, 3, "2 fields, expected 3 as in the header"),
        (3, 7, "not CSV: ',' expected after '\"'"),
        (4, 8, "holds bytes that are not UTF-8"),
        (5, 9, "no id"),
        (6, 10, "neither a title nor a text"),
        (7, 11, "not CSV: unexpected end of data"),
    ]


@pytest.mark.parametrize("name", ["c.csv", "c.tsv", "c.jsonl", "c.ndjson.gz", "c.csv.gz"])
def test_five_megabyte_documents_in_text_formats(tmp_path: Path, name: str) -> None:
    big = 'word, "quoted"\n' * 350_000
    if "json" in name:
        rows = [f'{{"id": "{i}", "text": {json.dumps(big)}}}\n' for i in range(5)]
    else:
        separator = "\t" if "tsv" in name else ","
        rows = [f"id{separator}text\n"]
        rows += [f'{i}{separator}"' + big.replace('"', '""') + '"\n' for i in range(5)]
    content = "".join(rows).encode()
    packed = name.endswith(".gz")
    (tmp_path / name).write_bytes(gzip.compress(content, 1) if packed else content)
    batches = list(open_corpus(tmp_path / name).batches())
    found = [row for batch in batches for row in batch.rows.to_pylist()]
    assert [row["doc_id"] for row in found] == ["0", "1", "2", "3", "4"]
    assert all(row["text"] == big for row in found)
    assert len(batches) == 2  # a batch is closed at 16 MB


def test_parquet_metadata_keeps_its_types(tmp_path: Path) -> None:
    when = dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    kept = {
        "list": pa.array([["a"], None]),
        "struct": pa.array([{"x": 1, "y": ["z"]}, None]),
        "when": pa.array([when, None], pa.timestamp("ms", "UTC")),
        "day": pa.array([dt.date(2020, 1, 2), None]),
        "small": pa.array([1, None], pa.int8()),
        "flag": pa.array([True, None]),
    }
    plain = {
        "category": pa.array(["x", None]).dictionary_encode(),
        "wide": pa.array(["x", None], pa.large_string()),
        "view": pa.array(["x", None], pa.string_view()),
        "nothing": pa.nulls(2),
    }
    table = pa.table({"id": ["a", "b"], "text": ["t", "u"], **kept, **plain})
    pq.write_table(table, tmp_path / "c.parquet")
    corpus = open_corpus(tmp_path / "c.parquet")
    types = {field.name: field.type for field in corpus.schema}
    stored = pq.read_schema(tmp_path / "c.parquet")
    assert {name: types[name] for name in kept} == {name: stored.field(name).type for name in kept}
    assert {types[name] for name in plain} == {pa.string()}
    first, second = read(corpus)[0]
    assert first["struct"] == {"x": 1, "y": ["z"]}
    assert first["when"] == when
    assert [first[name] for name in plain] == ["x", "x", "x", None]
    assert [second[name] for name in (*kept, *plain)] == [None] * 10


def test_dictionaries_inside_lists_are_decoded(tmp_path: Path) -> None:
    tags = pa.array([["x", "y"], ["x"]], pa.list_(pa.dictionary(pa.int32(), pa.string())))
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["t", "u"], "m": tags}), tmp_path / "c.pq")
    assert column(tmp_path / "c.pq", "m") == (pa.list_(pa.string()), [["x", "y"], ["x"]])


def test_many_row_groups_are_read_in_order(tmp_path: Path) -> None:
    table = pa.table({"id": list(range(1000)), "text": [f"t{i}" for i in range(1000)]})
    pq.write_table(table, tmp_path / "c.parquet", row_group_size=37)
    rows, _ = read(open_corpus(tmp_path / "c.parquet", batch_rows=100))
    assert [row["text"] for row in rows] == [f"t{i}" for i in range(1000)]


def test_a_file_that_changes_between_the_two_readings_is_noticed(tmp_path: Path) -> None:
    corpus = open_corpus(jsonl(tmp_path, {"id": "a", "text": "t", "year": 1}))
    jsonl(tmp_path, {"id": "a", "text": "t", "year": "late"})
    with pytest.raises(CorpusError, match=r"changed while it was read \(row 0"):
        list(corpus.batches())
