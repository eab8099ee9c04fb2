"""A small index and topics for tests of the whole pipeline, on models with random weights."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.rerank.search_config import Mode, SearchConfig
from scisearch.retrieval.ranking import Query

WORDS = ("gene", "protein", "folding", "attention", "query", "beta", "cells", "vectors", "mice")
Row = dict[str, object]


def numbered(texts: Sequence[tuple[str, int]]) -> list[Row]:
    return [
        {"doc_id": f"d{number:02d}", "title": "", "text": text, "year": year}
        for number, (text, year) in enumerate(texts)
    ]


def build(folder: Path, corpus: Sequence[Row], encoder: Path) -> Path:
    path = folder / "corpus.parquet"
    pq.write_table(pa.Table.from_pylist(list(corpus)), path)
    build_index(path, folder / "index", BuildConfig(encoder=str(encoder), offline=True))
    return folder / "index"


def config(mode: Mode, reranker: Path, **options: object) -> SearchConfig:
    fields = {"cutoff": 5, "depth": 4, "offline": True, **options}
    return SearchConfig(mode=mode, reranker=str(reranker), **fields)  # type: ignore[arg-type]


CORPUS = numbered([(f"{a} {b} {c}", 2016) for a in WORDS for b in WORDS[:4] for c in WORDS[4:6]])
TOPICS = [
    Query(f"q{i}", f"{a} {b}") for i, (a, b) in enumerate(zip(WORDS, WORDS[3:], strict=False))
]
