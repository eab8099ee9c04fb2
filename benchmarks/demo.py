"""The demo collection: abstracts, queries and judgements written for this project."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from scisearch.index.errors import BuildError
from scisearch.retrieval.ranking import Query

_DATA = files("scisearch.benchmarks.demo_collection")
PROVENANCE = "written for the scisearch demo"


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where the collection was written."""

    corpus: Path
    topics: Path
    qrels: Path
    n_documents: int
    n_queries: int


def demo_documents() -> list[dict[str, str]]:
    """The documents: doc_id, title, text, field."""
    return list(_lines("documents.jsonl"))


def demo_topics() -> list[Query]:
    """The queries."""
    return [Query(line["query_id"], line["text"]) for line in _lines("topics.jsonl")]


def demo_qrels() -> dict[str, dict[str, int]]:
    """The judgements, 0 to 3."""
    return {line["query_id"]: line["qrels"] for line in _lines("topics.jsonl")}


def write_demo(folder: Path) -> DemoFiles:
    """Write corpus.parquet, topics.tsv and qrels.txt into `folder`.

    Raises:
        BuildError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _write(folder)
    except OSError as error:
        raise BuildError(
            f"{folder}: cannot be written ({error.strerror}); name another folder"
        ) from error


def _write(folder: Path) -> DemoFiles:
    import pyarrow as pa
    import pyarrow.parquet as pq

    documents, topics = demo_documents(), demo_topics()
    table = pa.Table.from_pylist([{**line, "provenance": PROVENANCE} for line in documents])
    written = DemoFiles(
        folder / "corpus.parquet",
        folder / "topics.tsv",
        folder / "qrels.txt",
        len(documents),
        len(topics),
    )
    pq.write_table(table, written.corpus)
    written.topics.write_text(
        "".join(f"{query.query_id}\t{query.text}\n" for query in topics), encoding="utf-8"
    )
    written.qrels.write_text(
        "".join(
            f"{query_id} 0 {doc_id} {gain}\n"
            for query_id, gains in demo_qrels().items()
            for doc_id, gain in gains.items()
        ),
        encoding="utf-8",
    )
    return written


def _lines(name: str) -> Iterator[dict[str, Any]]:
    with (_DATA / name).open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)
