"""Peers that load models, with tiny random ones; those of the extra run where it is installed."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from scisearch.benchmarks.benchmark import benchmark
from scisearch.benchmarks.benchmark_request import BenchmarkRequest
from scisearch.benchmarks.peers.catalogue import PEERS
from scisearch.console.benchmark import report_blocks
from scisearch.console.blocks import markdown_report
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.trec import read_run

pytestmark = pytest.mark.slow

WORDS = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice")
MODULES = {
    "lancedb": "lancedb",
    "lancedb-rerank": "lancedb",
    "tantivy": "tantivy",
    "txtai": "txtai",
}


def test_peers_of_every_kind(tmp_path: Path, tiny_encoder: Path, tiny_cross_encoder: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    rows = [{"doc_id": f"d{i}", "text": f"{word} of all"} for i, word in enumerate(WORDS)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "topics.tsv").write_text("".join(f"q{i}\t{w}\n" for i, w in enumerate(WORDS)))
    (folder / "qrels.tsv").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(len(WORDS))))
    search = SearchConfig(
        encoder=str(tiny_encoder),
        reranker=str(tiny_cross_encoder),
        rerank_weight=1.0,
        rerank_depth=100,
        device="cpu",
        runtime="torch",
        offline=True,
    )
    request = BenchmarkRequest(
        out=tmp_path / "report",
        collection=str(folder),
        search=search,
        cold_starts=False,
        peers=tuple(peer.name for peer in PEERS),
    )
    card = benchmark(request)
    peers = card["peers"]
    absent = {name for name, module in MODULES.items() if find_spec(module) is None}
    assert set(peers["failed"]) == absent
    assert all("pip install 'scisearch[peers]'" in line for line in peers["failed"].values())
    assert set(peers["systems"]) == {peer.name for peer in PEERS} - absent
    models = peers["systems"]["sentence-transformers-rerank"]["models"]
    assert models["reranker"] == card["systems"]["rerank"]["models"]["reranker"]
    assert models["encoder"] == card["systems"]["dense"]["models"]["encoder"]
    assert "CrossEncoder.rank" in markdown_report(report_blocks(card))

    # The same documents and models: all eight are candidates, so the order is that of ours.
    runs = request.out / "runs"
    for ours, theirs in (
        ("dense", "sentence-transformers"),
        ("rerank", "sentence-transformers-rerank"),
        *(() if absent else (("rerank", "lancedb-rerank"),)),
    ):
        own, peer = read_run(runs / f"{ours}.run"), read_run(runs / "peers" / f"{theirs}.run")
        for query_id, ranked in own.items():
            ids = [hit.doc_id for hit in ranked.hits]
            assert [hit.doc_id for hit in peer[query_id].hits] == ids
