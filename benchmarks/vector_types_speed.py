"""Types of vector index on the vectors of an index: recall for real queries, time, size.

    python -m scisearch.benchmarks.vector_types_speed --index search-index --topics queries.jsonl

A build tunes an approximate type on document vectors, whose own neighbours it knows. Here the
queries are topics as the encoder reads them, and the exact neighbours are those of `Flat`.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.commands import Command
from scisearch.benchmarks.latency import spread_queries
from scisearch.index.models import resolve_model
from scisearch.index.opened import open_index
from scisearch.index.runtimes import open_encoder
from scisearch.index.vector_types import EXACT, choose_factory, inverted_factory
from scisearch.index.vectors import VectorIndex, build_vectors
from scisearch.retrieval.topics import read_topics

_DEPTH = 100


def compare_types(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    factories: Sequence[str],
    folder: Path,
) -> dict[str, dict[str, Any]]:
    """What each type costs and finds; `Flat` is always among them.

    Args:
        vectors: (n_docs, dimension) unit rows.
        queries: (n_queries, dimension) unit rows, searched one at a time.
        factories: faiss.index_factory strings.
        folder: for the files, which stay.

    Returns:
        Of each type: `recall_at_100` for the queries, 0 to 1, and `tuned_recall`, that of the
        build's own sample; the tuned search parameters; build and median query time of the
        processor in seconds and milliseconds; bytes of the file.
    """
    exact: list[NDArray[np.int64]] = []
    found: dict[str, dict[str, Any]] = {}
    for number, factory in enumerate(dict.fromkeys([EXACT, *factories])):
        path = folder / f"{number}.faiss"
        begin = time.process_time()
        report = build_vectors(
            [vectors],
            n_docs=len(vectors),
            dimension=vectors.shape[1],
            factory=factory,
            path=path,
        )
        built = time.process_time() - begin
        ordinals, milliseconds = _search(VectorIndex.open(path), queries)
        exact = exact or ordinals
        shares = [np.isin(one, two).mean() for one, two in zip(exact, ordinals, strict=True)]
        found[factory] = {
            "recall_at_100": round(float(np.mean(shares)), 4),
            "tuned_recall": report.recall_at_100,
            "parameters": report.search_parameters,
            "build_processor_seconds": round(built, 2),
            "query_processor_ms": round(median(milliseconds), 3),
            "bytes": path.stat().st_size,
        }
    return found


def _search(
    index: VectorIndex, queries: NDArray[np.float32]
) -> tuple[list[NDArray[np.int64]], list[float]]:
    ordinals, milliseconds = [], []
    for query in queries:
        begin = time.process_time()
        ((found, _),) = index.search(query[None], _DEPTH)
        milliseconds.append(1000 * (time.process_time() - begin))
        ordinals.append(found[:_DEPTH])
    return ordinals, milliseconds


@click.command(cls=Command)
@click.option("--index", "folder", required=True, type=click.Path(path_type=Path))
@click.option("--topics", required=True, type=click.Path(path_type=Path))
@click.option("--queries", default=200, show_default=True)
@click.option("--types", help="FAISS types, with semicolons; by default that of a larger corpus.")
@click.option("--offline", is_flag=True, help="Never ask a hub.")
def main(folder: Path, topics: Path, queries: int, types: str | None, offline: bool) -> None:
    """Print recall, times and sizes as JSON."""
    index = open_index(folder)
    vectors = index.vectors.rows(np.arange(index.vectors.n_docs))
    name = str((index.manifest.encoder or {})["name"])
    encoder = open_encoder(resolve_model(name, offline=offline, kind="bi-encoder"))
    texts = [topic.text for topic in spread_queries(read_topics(topics), queries)]
    factories = types.split(";") if types else [inverted_factory(len(vectors))]
    with TemporaryDirectory() as work:
        found = compare_types(vectors, encoder.encode_queries(texts), factories, Path(work))
    click.echo(json.dumps({"chosen": choose_factory(len(vectors)), "types": found}, indent=1))


if __name__ == "__main__":
    main()
