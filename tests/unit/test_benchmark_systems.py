import json
import mmap
import sys
from pathlib import Path

import pytest

from scisearch.benchmarks import environment
from scisearch.benchmarks.benchmark_request import (
    BenchmarkRequest,
    benchmark_collection,
    request_of,
)
from scisearch.benchmarks.card import predecessor, quality, read_card
from scisearch.benchmarks.environment import (
    cold_start,
    hardware,
    memory,
    peak_rss_bytes,
    reset_peak_memory,
    versions,
)
from scisearch.benchmarks.system_names import parse_systems
from scisearch.benchmarks.systems import config_of
from scisearch.index.errors import ConfigError
from scisearch.index.models import FAST_CROSS_ENCODER
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.ranking import Query, RankedList


def test_systems_are_named_in_any_order_and_run_in_that_of_the_stages() -> None:
    assert parse_systems("rerank, bm25,bm25") == ("bm25", "rerank")


@pytest.mark.parametrize("names", ["", " , ", "bm25,bm52"])
def test_unknown_systems(names: str) -> None:
    with pytest.raises(ConfigError, match=r"systems: found (none|bm52), expected some of bm25,"):
        parse_systems(names)


def test_a_system_is_set_against_what_it_was_given() -> None:
    all_four = ["bm25", "dense", "hybrid", "rerank"]
    assert [predecessor(name, all_four) for name in all_four] == [None, "bm25", "bm25", "hybrid"]
    assert predecessor("rerank", ["dense", "rerank"]) is None
    assert predecessor("hybrid", ["dense", "hybrid"]) == "dense"
    assert predecessor("rerank", ["bm25", "hybrid", "fast", "rerank"]) == "hybrid"
    assert predecessor("fast", ["bm25", "hybrid", "fast", "rerank"]) == "hybrid"


def test_reranking_alone_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found the systems fast,rerank, expected bm25, dense"):
        BenchmarkRequest(out=tmp_path, systems=("fast", "rerank"))


def test_fast_is_rerank_with_the_small_cross_encoder() -> None:
    given = SearchConfig(reranker="mine", rerank_depth=7)
    found = config_of("fast", given)
    assert (found.mode, found.reranker, found.rerank_depth) == ("rerank", FAST_CROSS_ENCODER, 7)
    assert config_of("rerank", given).reranker == "mine"
    cascade = config_of("cascade", given)
    assert (cascade.mode, cascade.reranker, cascade.rerank) == ("rerank", "mine", "cascade")
    assert config_of("fast", cascade).rerank == "full"
    assert config_of("fast", SearchConfig(rerank="auto")).rerank == "auto"


def test_deltas_and_tests_by_hand() -> None:
    """Each query has one relevant document: at rank 1 nDCG@10 is 1, at rank 2 it is 0.6309."""
    qrels = {f"q{i}": {"r": 1, "w": 0} for i in range(12)}
    queries = [Query(query_id, f"text of {query_id}") for query_id in qrels]

    def run(good: range) -> dict[str, RankedList]:
        return {
            f"q{i}": RankedList.from_scores(f"q{i}", {"r": 2.0 if i in good else 0.0, "w": 1.0})
            for i in range(12)
        }

    found = quality({"bm25": run(range(3)), "dense": run(range(2, 12))}, qrels, queries)
    assert found["n_queries"] == 12
    deltas = found["systems"]["dense"]["deltas"]
    assert found["systems"]["bm25"]["deltas"] is None
    assert [row["query_id"] for row in deltas["worst"]] == ["q0", "q1"]
    assert [row["query_id"] for row in deltas["best"]] == [f"q{i}" for i in range(11, 2, -1)]
    assert deltas["worst"][0]["text"] == "text of q0"
    assert deltas["worst"][0]["after"] == pytest.approx(0.6309, abs=1e-4)
    (test,) = found["tests"]
    assert (test["first"], test["second"]) == ("bm25", "dense")
    assert (test["better"], test["same"], test["worse"]) == (9, 1, 2)
    assert test["mean"] == pytest.approx(7 * 0.3691 / 12, abs=1e-4)
    # 11 equal differences: at least 9 of one sign, 2 (1 + 11 + 55) of 2^11
    assert test["p"] == test["p_holm"] == pytest.approx(2 * 67 / 2**11)
    assert found["systems"]["bm25"]["ties"]["intervals"]["nDCG@10"][0] == pytest.approx(
        found["systems"]["bm25"]["measures"]["nDCG@10"]["mean"]
    )


def test_a_fresh_command_is_timed_on_its_own() -> None:
    found = cold_start(["--version"])
    assert 0 < float(str(found["seconds"])) < 60
    if sys.platform == "linux":
        peak, own = int(str(found["peak_rss_bytes"])), peak_rss_bytes()
        assert own is not None
        assert 5e6 < peak < own, "not the memory of the process that started it"


def test_memory_is_that_from_a_moment_on() -> None:
    since = reset_peak_memory()
    before = memory(since)
    if since != "models loaded":
        pytest.skip("the system does not set the peak back")
    assert before.rss is not None
    assert before.peak_rss is not None
    # the peak of pytest itself may be far above what it holds now
    assert before.peak_rss < before.rss * 1.2 + 2e7
    # from the system: what Python has freed before would be taken again, and no peak be seen
    with mmap.mmap(-1, 80_000_000) as taken:
        taken[::4096] = b"x" * len(taken[::4096])
    after = memory(since)
    assert after.peak_rss is not None
    assert after.peak_rss > before.rss + 7e7


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(ConfigError, match=r"cold start: search info ended with code 1: .*absent"):
        cold_start(["info", "--index", "absent"])


def test_an_id_without_ir_datasets_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    request = BenchmarkRequest(tmp_path / "out", "beir/scifact/test")
    with pytest.raises(
        ConfigError, match=r"an ir_datasets id .*install 'scisearch\[ir-datasets\]'"
    ):
        benchmark_collection(request)
    assert not (tmp_path / "out").exists()


def test_where_it_ran() -> None:
    assert {"python", "numpy", "ir-measures"} <= set(versions())
    assert set(hardware()) > {"processor", "cores", "memory_bytes", "accelerator"}


def test_a_missing_processor_file_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "Path", lambda _: Path("absent"))
    assert isinstance(hardware()["processor"], str)


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "is no JSON"), ("[]", "has card format None"), ('{"card_format": 9}', "format 9")],
)
def test_what_is_no_card(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(ConfigError, match=words):
        read_card(tmp_path / "card.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_card(tmp_path / "absent.json")
    (tmp_path / "card.json").write_text(json.dumps({"card_format": 2}))
    assert read_card(tmp_path / "card.json") == {"card_format": 2}


def test_a_card_whose_request_is_of_another_version(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"card: its request does not fit .'request'.* again with"
    ):
        request_of({"card_format": 2}, tmp_path)
