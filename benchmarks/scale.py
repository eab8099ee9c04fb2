"""How build time, memory and query time of BM25 grow with the corpus.

    python -m scisearch.benchmarks.scale --corpus a.parquet --topics queries.jsonl --out scale

Where the corpora hold fewer documents than a size asks for, they are repeated with perturbed texts
(benchmarks/scale_corpus.py), and the result says so. Finished sizes are kept in the output folder
and not measured again. For Linux, which tells the peak of a process's memory.
"""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np

from scisearch.benchmarks.commands import Command
from scisearch.benchmarks.environment import hardware, versions, watch_memory
from scisearch.benchmarks.latency import spread_queries
from scisearch.benchmarks.scale_corpus import Row, read_rows, write_grown
from scisearch.index.durable import replace_file
from scisearch.index.errors import ConfigError
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.ranking import Query
from scisearch.retrieval.topics import read_topics

Measured = dict[str, Any]

RESULT_NAME = "scale.json"
_WARM_UP = 3


def measure_scale(
    corpora: Sequence[Path],
    topics: Sequence[Query],
    sizes: Sequence[int],
    folder: Path,
    *,
    n_queries: int = 200,
) -> Measured:
    """Build and search a BM25 index at each size; the result is also in `folder`/scale.json.

    Args:
        corpora: the files that documents are taken from.
        topics: the queries; `n_queries` of them, evenly spread, are searched at each size.
        sizes: numbers of documents.
        folder: keeps indexes and results; the corpora that were made are removed.
        n_queries: how many are searched one at a time.

    Raises:
        ScisearchError: a corpus cannot be read, or a build failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULT_NAME
    known: dict[str, Measured] = {}
    if path.exists():
        known = json.loads(path.read_bytes())["sizes"]
    rows: list[Row] = []
    for size in sorted(sizes):
        if str(size) in known:
            continue
        rows = rows or read_rows(corpora)
        real = min(size, len(rows))
        built = _build(rows, size, folder)
        found = _search(folder / f"index-{size}", spread_queries(topics, n_queries))
        known[str(size)] = {"documents": size, "real": real, "build": built, "query": found}
        content = _result(known)
        replace_file(path, json.dumps(content, indent=1).encode())
    return _result(known)


def growth(sizes: Mapping[str, Measured], *names: str) -> list[float]:
    """The exponents e of n^e from each size to the next: 1 is linear, below 1 is less.

    `names` lead to the value, as in "build", "cpu_seconds".
    """
    points = []
    for one in sorted(sizes.values(), key=lambda one: int(one["documents"])):
        value: Any = one
        for name in names:
            value = value[name]
        points.append((math.log(one["documents"]), math.log(value)))
    return [round((b[1] - a[1]) / (b[0] - a[0]), 3) for a, b in pairwise(points)]


def _result(sizes: Mapping[str, Measured]) -> Measured:
    return {
        "sizes": dict(sizes),
        "growth": {
            "build cpu": growth(sizes, "build", "cpu_seconds"),
            "build wall": growth(sizes, "build", "wall_seconds"),
            "query p50": growth(sizes, "query", "total_ms", "p50"),
        },
        "hardware": hardware(),
        "versions": versions(),
    }


def _build(rows: Sequence[Row], size: int, folder: Path) -> Measured:
    """Build in a process of its own, whose memory and time are then known."""
    corpus = folder / f"corpus-{size}.parquet"
    write_grown(rows, size, corpus)
    index = folder / f"index-{size}"
    command = [sys.executable, "-P", "-m", "scisearch.cli", "build-index", str(corpus)]
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--index", str(index), "--no-dense"], stdout=subprocess.DEVNULL
    )
    peaks: list[int] = []
    threading.Thread(target=watch_memory, args=(process.pid, peaks), daemon=True).start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    corpus.unlink()
    if process.returncode != 0:
        raise ConfigError(f"{index}: the build ended with exit code {process.returncode}")
    generation = next(index.glob("gen-*/"))
    return {
        "wall_seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_rss_bytes": max(peaks, default=None),
        "index_bytes": sum(file.stat().st_size for file in generation.rglob("*") if file.is_file()),
        "terms": json.loads((generation / "lexical" / "lexical.json").read_bytes())["n_terms"],
    }


def _search(index: Path, queries: Sequence[Query]) -> Measured:
    """One query at a time, then all as a batch."""
    begin = time.perf_counter()
    pipeline = SearchPipeline.open(index, SearchConfig(mode="bm25"))
    opened = time.perf_counter() - begin
    for query in queries[:_WARM_UP]:
        pipeline.search(query.text)
    totals, stages, processor = [], [], []
    for query in queries:
        begin, spent = time.perf_counter(), time.process_time()
        result = pipeline.search(query.text)
        totals.append(1000 * (time.perf_counter() - begin))
        processor.append(1000 * (time.process_time() - spent))
        stages.append(result.milliseconds["bm25"])
    begin = time.perf_counter()
    pipeline.run(queries)
    batch = time.perf_counter() - begin
    return {
        "n": len(queries),
        "open_ms": round(1000 * opened, 2),
        "total_ms": _percentiles(totals),
        "processor_ms": _percentiles(processor),
        "bm25_ms": _percentiles(stages),
        "batch_queries_per_second": round(len(queries) / batch, 1),
    }


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(values, p)), 3) for p in (50, 95, 99)}


def draw(result: Measured, path: Path) -> None:
    """Build time, memory and query time over the number of documents; needs matplotlib."""
    from matplotlib.figure import Figure

    sizes = sorted(result["sizes"].values(), key=lambda one: int(one["documents"]))
    documents = [one["documents"] for one in sizes]
    panels = {
        "build, processor seconds": [one["build"]["cpu_seconds"] for one in sizes],
        "build, peak memory in GB": [one["build"]["peak_rss_bytes"] / 1e9 for one in sizes],
        "one query, p50 in ms": [one["query"]["total_ms"]["p50"] for one in sizes],
    }
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        linear = [values[-1] * n / documents[-1] for n in documents]
        axes.plot(documents, linear, color="0.6", linestyle=":", label="linear")
        axes.plot(documents, values, color="#0072B2", marker="o", label="measured")
        axes.set(xscale="log", yscale="log", xlabel="documents")
        axes.set_title(title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


@click.command(cls=Command)
@click.option("--corpus", "corpora", multiple=True, required=True, type=click.Path(path_type=Path))
@click.option("--topics", required=True, type=click.Path(path_type=Path))
@click.option("--sizes", default="10000,100000,1000000", show_default=True)
@click.option("--queries", default=200, show_default=True, help="Searched at each size.")
@click.option("--out", required=True, type=click.Path(path_type=Path))
def main(corpora: tuple[Path, ...], topics: Path, sizes: str, queries: int, out: Path) -> None:
    """Measure BM25 over corpora of growing size; write scale.json and scale.svg."""
    wanted = [int(size) for size in sizes.split(",") if size.strip().isdigit()]
    result = measure_scale(corpora, read_topics(topics), wanted, out, n_queries=queries)
    click.echo(json.dumps({"growth": result["growth"], "sizes": result["sizes"]}, indent=1))
    try:
        draw(result, out / "scale.svg")
    except ImportError:
        click.echo("no picture: pip install 'scisearch[plots]'", err=True)


if __name__ == "__main__":
    main()
