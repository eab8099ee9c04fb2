"""`search benchmark`: an index, the systems over it, latency and runs, and from them one card."""

from collections.abc import Mapping
from typing import Any

from scisearch.benchmarks.benchmark_request import BenchmarkRequest, benchmark_collection
from scisearch.benchmarks.bootstrap import RESAMPLES
from scisearch.benchmarks.card import FORMAT, Card, card_bytes, quality
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.environment import hardware, peak_rss_bytes, peak_vram_bytes, versions
from scisearch.benchmarks.loss_report import loss_report, recall_by_depth
from scisearch.benchmarks.measurement import DEEP, Measurement
from scisearch.benchmarks.significance import SAMPLES, SEED
from scisearch.benchmarks.systems import check_documents_known, index_of, open_systems
from scisearch.index.description import describe
from scisearch.index.durable import replace_file
from scisearch.index.opened import OpenIndex
from scisearch.index.progress import NoProgress, Progress
from scisearch.retrieval.ranking import Qrels, Run

_CURVE_DEPTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def benchmark(request: BenchmarkRequest, *, progress: Progress | None = None) -> Card:
    """The card of a collection, also written to OUT/card.json beside the run files.

    Raises:
        ConfigError: no such collection, or a system that index or models do not allow.
        RankingError: queries, documents and judgements do not meet.
        ScisearchError: the index cannot be built or opened.
    """
    progress = progress or NoProgress()
    collection = benchmark_collection(request)
    dense = request.systems is None or request.systems != ("bm25",)
    path = request.index or request.out / "index"
    index = index_of(
        collection, path, request.search, own=request.index is None, dense=dense, progress=progress
    )
    check_documents_known(collection, index)
    systems = open_systems(index, request.search, request.systems)
    measured = Measurement(request, collection, index, systems, progress)
    card = _card(measured, request, collection, index)
    replace_file(request.out / "card.json", card_bytes(card))
    measured.forget_work()
    return card


def _card(
    measured: Measurement, request: BenchmarkRequest, collection: Collection, index: OpenIndex
) -> Card:
    latency, runs, deep = measured.latency(), measured.runs(), measured.deep_runs()
    found = quality(
        runs,
        collection.qrels,
        collection.queries,
        index_doc_ids=lambda doc_id: index.documents.ordinal(doc_id) is not None,
    )
    batches = measured.batches()
    systems = {
        name: {
            "models": measured.models[name],
            "quality": found["systems"][name],
            "latency": latency[name],
            "batch": batches[name],
            "cold_start": measured.cold_start(name),
        }
        for name in runs
    }
    return {
        "card_format": FORMAT,
        "collection": {
            "name": collection.name,
            "n_documents": len(index.documents),
            "n_queries": found["n_queries"],
            "protocol": {
                **collection.protocol.to_json(),
                "hits_left_out": {
                    name: measured.hits_left_out[f"runs/{name}.run"] for name in runs
                },
            },
            "digests": measured.digests,
        },
        "systems": systems,
        "tests": found["tests"],
        "loss": _losses(
            runs, deep, collection.qrels, (request.search.rerank_depth, measured.cutoff)
        ),
        "index": _index_facts(index),
        "environment": _environment(request),
        "request": request.to_json(),
    }


def _losses(
    runs: Mapping[str, Run], deep: Mapping[str, Run], qrels: Qrels, depths: tuple[int, int]
) -> dict[str, Any]:
    report = loss_report(runs, deep, qrels, depth=depths[0], deep=DEEP)
    curves: dict[str, Any] = {}
    for name, run in {**runs, **deep}.items():
        deepest = DEEP if name in deep else depths[1]
        shown = [one for one in _CURVE_DEPTHS if one <= deepest]
        shares = recall_by_depth(run, qrels, shown)
        curves[name] = [list(point) for point in zip(shown, shares, strict=True)]
    return {**report.to_json(), "recall_by_depth": curves}


def _index_facts(index: OpenIndex) -> dict[str, Any]:
    facts = describe(index)
    seconds, n = facts["build_seconds"], len(index.documents)
    total = sum(seconds.values()) if isinstance(seconds, dict) else None
    sizes: Any = facts["bytes"]
    return {
        "manifest_sha256": index.generation.manifest_sha256,
        "build_seconds": seconds,
        "documents_per_second": n / total if total else None,
        "bytes_per_document": {name: size / n for name, size in sizes.items()},
        "rejected_rows": facts["rejected_rows"],
        "encoder": facts["encoder"],
        "vectors": facts["vectors"],
        "bm25": facts["bm25"],
    }


def _environment(request: BenchmarkRequest) -> dict[str, Any]:
    return {
        "versions": versions(),
        "hardware": hardware(),
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_vram_bytes": peak_vram_bytes(),
        "command": list(request.command),
        "seed": SEED,
        "bootstrap_resamples": RESAMPLES,
        "randomisation_samples": SAMPLES,
    }
