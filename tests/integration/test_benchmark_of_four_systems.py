"""A benchmark with tiny random models: four systems, every stage, and the models in the card."""

import json
from pathlib import Path

import pytest

from scisearch.benchmarks.benchmark import benchmark
from scisearch.benchmarks.benchmark_request import BenchmarkRequest, request_of
from scisearch.benchmarks.card import STAGES, read_card
from scisearch.benchmarks.card_verification import compare_cards
from scisearch.console.benchmark import render_report
from scisearch.rerank.search_config import SearchConfig

pytestmark = pytest.mark.slow

WORDS = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice")


@pytest.fixture
def request_for_four(
    tmp_path: Path, tiny_encoder: Path, tiny_cross_encoder: Path
) -> BenchmarkRequest:
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
        rerank_depth=5,
        device="cpu",
        offline=True,
    )
    return BenchmarkRequest(
        out=tmp_path / "report", collection=str(folder), search=search, cold_starts=False
    )


def test_all_systems_and_stages(tmp_path: Path, request_for_four: BenchmarkRequest) -> None:
    card = benchmark(request_for_four)
    systems = card["systems"]
    assert list(systems) == ["bm25", "dense", "hybrid", "rerank"]
    assert set(systems["rerank"]["latency"]["stages"]) == set(STAGES)
    models = {"encoder", "encoder_runtime", "reranker", "reranker_runtime"}
    assert set(systems["rerank"]["models"]) == models
    assert systems["bm25"]["models"] == {}
    assert systems["rerank"]["batch"]["pairs_per_second"] > 0
    assert systems["rerank"]["quality"]["deltas"]["against"] == "hybrid"
    assert len(card["tests"]) == 6
    assert card["loss"]["relevant"]["total"] == len(WORDS)
    assert [step["stage"] for step in card["loss"]["steps"]] == ["hybrid", "rerank"]
    assert "cross-encoder" in render_report(card)

    read = read_card(request_for_four.out / "card.json")
    again = benchmark(request_of(read, tmp_path / "again"))
    found = compare_cards(read, again)
    assert found.reproduced, found.changes
    assert found.n_values == 4 * (6 + len(WORDS))
