"""`search benchmark`: an index, the systems over it, latency and runs, and from them one card."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scisearch.benchmarks.benchmark_request import BenchmarkRequest, benchmark_collection
from scisearch.benchmarks.bootstrap import RESAMPLES
from scisearch.benchmarks.card import FORMAT, Card, card_bytes, quality
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.environment import hardware, versions
from scisearch.benchmarks.loss_report import loss_report, recall_by_depth
from scisearch.benchmarks.measurement import DEEP, Measurement
from scisearch.benchmarks.peers.measuring import PeerMeasurement
from scisearch.benchmarks.peers.section import peer_section
from scisearch.benchmarks.significance import SAMPLES, SEED
from scisearch.benchmarks.systems import check_documents_known, index_of, open_systems
from scisearch.index.description import describe
from scisearch.index.durable import replace_file
from scisearch.index.generations import CURRENT_NAME
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
    dense = request.dense and request.systems != ("bm25",)
    path = request.index or request.out / "index"
    before = _live(path)
    index = index_of(
        collection, path, request.search, own=request.index is None, dense=dense, progress=progress
    )
    check_documents_known(collection, index)
    systems = open_systems(index, request.search, request.systems)
    measured = Measurement(request, collection, index, systems, progress)
    card = dict(_card(measured, request, collection, index, built=_live(path) != before))
    if request.peers:
        card["peers"] = _peers(measured, request, collection, index, progress)
    replace_file(request.out / "card.json", card_bytes(card))
    measured.forget_work()
    return card


def _live(path: Path) -> bytes | None:
    """What names the live generation of an index folder; None where there is none."""
    current = path / CURRENT_NAME
    return current.read_bytes() if current.exists() else None


def _card(
    measured: Measurement,
    request: BenchmarkRequest,
    collection: Collection,
    index: OpenIndex,
    *,
    built: bool,
) -> Card:
    latency, runs = measured.latency(), measured.runs()
    memory = {**measured.memory(), "index_built": built}  # before deep lists and evaluation
    deep = measured.deep_runs()
    found = quality(
        runs,
        collection.qrels,
        collection.queries,
        index_doc_ids=lambda doc_id: index.documents.ordinal(doc_id) is not None,
    )
    systems = {
        name: {"quality": found["systems"][name], **_costs(measured, name, latency)}
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
        "loss": {
            **_losses(runs, deep, collection.qrels, (request.search.rerank_depth, measured.cutoff)),
            "truncation": measured.truncation(),
        },
        "index": _index_facts(index),
        "environment": _environment(request, memory),
        "request": request.to_json(),
    }


def _peers(
    measured: Measurement,
    request: BenchmarkRequest,
    collection: Collection,
    index: OpenIndex,
    progress: Progress,
) -> dict[str, Any]:
    """After our own systems, so that nothing a peer does can cost their results."""
    protocol = collection.protocol
    found = PeerMeasurement(
        request,
        collection.queries,
        index,
        cutoff=protocol.asked_for(measured.cutoff),
        memory=measured,
        progress=progress,
    ).measure()
    judged = {name: protocol.applied(run, measured.cutoff)[0] for name, run in found.runs.items()}
    return peer_section(
        replace(found, runs=judged),
        measured.runs(),
        collection,
        latency=measured.latency(),
        timed=measured.timed_queries,
        index_doc_ids=lambda doc_id: index.documents.ordinal(doc_id) is not None,
    )


def _costs(
    measured: Measurement, name: str, latency: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """All of one system but its quality."""
    return {
        "models": measured.models[name],
        "latency": latency[name],
        "pairs_per_second": measured.pairs_per_second(name, latency[name]),
        "batch": measured.batches()[name],
        "reliability": measured.reliability(name),
        "cold_start": measured.cold_start(name),
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


def _environment(request: BenchmarkRequest, memory: dict[str, Any]) -> dict[str, Any]:
    return {
        "versions": versions(),
        "hardware": hardware(),
        "memory_bytes": memory,
        "command": list(request.command),
        "seed": SEED,
        "bootstrap_resamples": RESAMPLES,
        "randomisation_samples": SAMPLES,
    }
