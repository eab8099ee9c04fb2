from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scisearch.index.corpus import open_corpus
from scisearch.index.documents import Documents, DocumentWriter
from scisearch.retrieval.filters import allowed_documents, parse_filter

COLLECTIONS = Path(__file__).resolve().parents[2].parent / "shared" / "collections"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not COLLECTIONS.is_dir(), reason=f"no {COLLECTIONS}"),
]


@pytest.mark.parametrize(
    ("name", "documents", "empty"),
    [
        ("adi", 82, 0),
        ("cacm", 3204, 0),
        ("cranfield", 1398, 2),
        ("csfcube", 4205, 0),
        ("cystic-fibrosis", 1239, 0),
        ("lisa", 5999, 0),
        ("npl", 11429, 0),
        ("scifact", 5183, 0),
        ("scitldr-knownitem", 3229, 0),
        ("acm-cr", 108_857, 0),
    ],
)
def test_a_real_corpus_is_stored_whole(
    tmp_path: Path, name: str, documents: int, empty: int
) -> None:
    source = COLLECTIONS / name / "corpus.parquet"
    corpus = open_corpus(source.parent)
    path = tmp_path / "documents.arrow"
    rejects = []
    with DocumentWriter(path, corpus.schema) as writer:
        for batch in corpus.batches():
            writer.write(batch.rows)
            rejects += batch.rejects
    opened = Documents.open(path)
    assert len(opened) == documents
    assert [reject.reason for reject in rejects] == ["neither a title nor a text"] * empty
    bad = [reject.row for reject in rejects]
    table = pq.read_table(source).to_pydict()
    good = [i for i in range(documents + empty) if i not in bad]
    assert opened.schema.names == list(table)
    for column in table:
        assert opened.column(column).to_pylist() == [table[column][i] for i in good]
    if "year" in table:
        mask = allowed_documents(opened, [parse_filter("year >= 1990")])
        years = [table["year"][i] for i in good]
        assert np.array_equal(mask, [year is not None and year >= 1990 for year in years])
