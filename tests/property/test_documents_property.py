import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from scisearch.index.corpus import open_corpus
from scisearch.index.documents import Documents, DocumentWriter, full_text

_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_ROW = st.fixed_dictionaries(
    {
        "doc_id": st.one_of(st.none(), st.text("ab 1é😀", max_size=3)),
        "title": st.one_of(st.none(), _TEXT),
        "text": st.one_of(st.none(), _TEXT),
        "year": st.one_of(st.none(), st.integers(-5, 5), st.floats(-5, 5), st.booleans(), _TEXT),
    }
)


@given(
    ids=st.lists(st.text(st.characters(codec="utf-8"), max_size=6), unique=True, max_size=20),
    rows=st.integers(1, 7),
    size=st.integers(1, 9),
)
@settings(deadline=None, max_examples=25)
def test_what_is_written_is_read(ids: list[str], rows: int, size: int) -> None:
    columns = {"doc_id": ids, "title": [f"t{i}" for i in ids], "text": ids[::-1], "m": ids}
    table = pa.table(columns, pa.schema([(name, pa.string()) for name in columns]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents.arrow"
        with DocumentWriter(path, table.schema) as writer:
            for batch in table.to_batches(max_chunksize=rows):
                writer.write(batch)
        documents = Documents.open(path)
        assert documents.doc_ids(range(len(ids))) == ids
        assert [documents.ordinal(doc_id) for doc_id in ids] == list(range(len(ids)))
        assert [sorted(ids)[rank] for rank in documents.id_rank] == ids
        assert [documents.get(i).metadata["m"] for i in range(len(ids))] == ids
        texts = [full_text(f"t{i}", j) for i, j in zip(ids, ids[::-1], strict=True)]
        assert [t for batch in documents.iter_full_texts(size) for t in batch] == texts


@given(rows=st.lists(_ROW, min_size=1, max_size=12), batch_rows=st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_every_row_is_kept_or_rejected_whatever_the_batches(
    rows: list[dict[str, object]], batch_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        corpus = open_corpus(path, batch_rows=batch_rows)
        batches = list(corpus.batches())
        kept = [row for batch in batches for row in batch.rows.to_pylist()]
        rejected = [reject.row for batch in batches for reject in batch.rejects]
        whole = list(open_corpus(path, batch_rows=100).batches())
    expected = [i for i, row in enumerate(rows) if i not in rejected]
    assert [row["doc_id"] for row in kept] == [rows[i]["doc_id"] for i in expected]
    assert len(kept) + len(rejected) == len(rows)
    assert rejected == sorted(set(rejected))
    assert kept == [row for batch in whole for row in batch.rows.to_pylist()]


@given(rows=st.lists(_ROW, min_size=1, max_size=12))
@settings(deadline=None, max_examples=40)
def test_parquet_and_jsonl_agree(rows: list[dict[str, object]]) -> None:
    names = ("doc_id", "title", "text")
    with tempfile.TemporaryDirectory() as folder:
        json_path, parquet_path = Path(folder) / "c.jsonl", Path(folder) / "c.parquet"
        texts = [{name: row[name] for name in names} for row in rows]
        json_path.write_text("".join(json.dumps(row) + "\n" for row in texts), encoding="utf-8")
        schema = pa.schema([(name, pa.string()) for name in names])
        pq.write_table(pa.Table.from_pylist(texts, schema), parquet_path)
        found = []
        for path in (json_path, parquet_path):
            batches = list(open_corpus(path).batches())
            found.append(
                (
                    [row for batch in batches for row in batch.rows.to_pylist()],
                    [(r.row, r.doc_id, r.reason) for batch in batches for r in batch.rejects],
                )
            )
    assert found[0] == found[1]
