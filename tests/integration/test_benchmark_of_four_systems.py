"""A benchmark with tiny random models: four systems, every stage, and the models in the card."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scisearch.benchmarks.benchmark import benchmark
from scisearch.benchmarks.benchmark_request import BenchmarkRequest, request_of
from scisearch.benchmarks.card import STAGES, read_card
from scisearch.benchmarks.card_verification import compare_cards
from scisearch.benchmarks.kept_cards import read_kept_cards, write_kept_card
from scisearch.benchmarks.systems import open_systems
from scisearch.console.benchmark import report_blocks
from scisearch.console.blocks import markdown_report
from scisearch.index.models import BUILT_IN
from scisearch.index.opened import open_index
from scisearch.rerank.calibration import Calibration
from scisearch.rerank.cross_encoder import LocalCrossEncoder
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.trec import read_run

pytestmark = pytest.mark.slow

FAST_SHA256 = next(one.sha256 for one in BUILT_IN if one.alias == "fast")
WORDS = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice")


@pytest.fixture
def request_for_four(
    tmp_path: Path, tiny_encoder: Path, tiny_cross_encoder: Path
) -> BenchmarkRequest:
    folder = tmp_path / "small"
    folder.mkdir()
    # the first is longer than the 64 tokens that the models read
    rows = [
        {"doc_id": f"d{i}", "text": f"{word} of all" + " cells" * (80 if i == 0 else 0)}
        for i, word in enumerate(WORDS)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "topics.tsv").write_text("".join(f"q{i}\t{w}\n" for i, w in enumerate(WORDS)))
    (folder / "qrels.tsv").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(len(WORDS))))
    reranker = tmp_path / "calibrated"
    shutil.copytree(tiny_cross_encoder, reranker)
    calibration = Calibration("platt", 1.0, 0.0, (), 10, 0.2)
    (reranker / "scisearch.json").write_text(json.dumps({"calibration": calibration.to_json()}))
    search = SearchConfig(
        encoder=str(tiny_encoder),
        reranker=str(reranker),
        rerank_weight=1.0,
        rerank_depth=5,
        device="cpu",
        offline=True,
    )
    return BenchmarkRequest(
        out=tmp_path / "report", collection=str(folder), search=search, cold_starts=False
    )


def test_the_small_cross_encoder_is_a_system(request_for_four: BenchmarkRequest) -> None:
    card = benchmark(replace(request_for_four, systems=("bm25", "fast")))
    fast = card["systems"]["fast"]
    assert fast["models"]["reranker"] == FAST_SHA256
    assert fast["quality"]["deltas"]["against"] == "bm25"
    assert fast["batch"]["pairs_per_second"] > 0
    assert card["loss"]["candidates_of"] == "fast", "of both first stages, fused"
    assert [step["stage"] for step in card["loss"]["steps"]] == ["fast"]
    assert card["loss"]["truncation"] is not None


def test_all_systems_and_stages(tmp_path: Path, request_for_four: BenchmarkRequest) -> None:
    card = benchmark(request_for_four)
    systems = card["systems"]
    assert list(systems) == ["bm25", "dense", "hybrid", "rerank"]
    assert set(systems["rerank"]["latency"]["stages"]) == set(STAGES)
    models = {"encoder", "encoder_runtime", "reranker", "reranker_runtime", "reranker_settings"}
    assert set(systems["rerank"]["models"]) == models
    assert systems["bm25"]["models"] == {}
    assert systems["rerank"]["batch"]["pairs_per_second"] > 0
    assert systems["rerank"]["quality"]["deltas"]["against"] == "hybrid"
    assert len(card["tests"]) == 6
    assert card["loss"]["relevant"]["total"] == len(WORDS)
    assert [step["stage"] for step in card["loss"]["steps"]] == ["hybrid", "rerank"]
    report = markdown_report(report_blocks(card))
    assert "cross-encoder" in report
    assert "hidden from the cross-encoder" in report
    assert systems["rerank"]["pairs_per_second"] > 0
    assert systems["rerank"]["reliability"]["pairs"] == 5 * len(WORDS)
    assert systems["hybrid"]["reliability"] is None
    assert not card["environment"]["memory_bytes"]["peak_rss"] < 1e7

    read = read_card(request_for_four.out / "card.json")
    again = benchmark(request_of(read, tmp_path / "again"))
    found = compare_cards(read, again)
    assert found.reproduced, found.changes
    assert found.n_values == 4 * (6 + len(WORDS))
    write_kept_card(read, tmp_path / "kept" / "small.json")
    kept = read_kept_cards(tmp_path / "kept")["small"]
    found = compare_cards(kept, again)
    assert found.reproduced, found.changes
    assert found.n_values == 4 * (6 + 1)
    again["systems"]["dense"]["quality"]["per_query"]["q1"] += 1e-12
    assert not compare_cards(kept, again).reproduced


def test_without_vectors_the_candidates_of_bm25_are_reranked(
    tmp_path: Path, request_for_four: BenchmarkRequest
) -> None:
    card = benchmark(replace(request_for_four, systems=("bm25", "rerank"), dense=False))
    assert not open_index(request_for_four.out / "index").has_vectors
    assert card["systems"]["rerank"]["quality"]["deltas"]["against"] == "bm25"
    assert "encoder" not in card["systems"]["rerank"]["models"]
    assert not request_of(card, tmp_path).dense


def test_truncation_is_what_scoring_drops_and_the_encoder_is_one(
    request_for_four: BenchmarkRequest,
) -> None:
    found = benchmark(request_for_four)["loss"]["truncation"]
    index = open_index(request_for_four.out / "index")
    reranker = LocalCrossEncoder(
        Path(str(request_for_four.search.reranker)),
        texts=index.documents.full_texts,
        store=index.tokens,
        device="cpu",
    )
    run = read_run(request_for_four.out / "runs" / "rerank.run")
    dropped = []
    for query_id, ranked in run.items():
        text = WORDS[int(query_id[1:])]
        own = [index.documents.ordinal(hit.doc_id) for hit in ranked.hits[:5]]
        dropped += reranker.score([text], [np.array(own, dtype=np.int64)]).dropped[0].tolist()
    assert sum(dropped) > 0
    assert found["pairs"] == len(dropped) == 5 * len(WORDS)
    assert found["tokens_unseen"] == sum(dropped)
    assert found["pairs_cut"] == sum(one > 0 for one in dropped)
    assert found["documents_cut"] == 1
    assert found["relevant_pairs"] <= len(WORDS)
    assert found["tokens"] > found["tokens_unseen"]

    systems = open_systems(index, request_for_four.search, None)
    for pipeline in systems.values():
        pipeline.warm_up()
    encoders = {id(one._legs["dense"]) for name, one in systems.items() if name != "bm25"}
    assert len(encoders) == 1
