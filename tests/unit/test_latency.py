import json
from pathlib import Path
from typing import Any, cast

import pytest

from scisearch.benchmarks.latency import (
    Sample,
    latency_summary,
    sample_latencies,
    spread_queries,
)
from scisearch.index.errors import ConfigError
from scisearch.index.progress import NoProgress
from scisearch.pipeline import SearchPipeline
from scisearch.retrieval.ranking import Query
from scisearch.retrieval.results import SearchResult

QUERIES = [Query(f"q{i}", f"text {i}") for i in range(4)]


class Recorder:
    """Answers nothing, and writes down who was asked what."""

    def __init__(self, name: str, asked: list[str], fails_at: str = "") -> None:
        self._name, self._asked, self._fails_at = name, asked, fails_at

    def warm_up(self) -> None:
        self._asked.append(f"{self._name} warm")

    def search(self, text: str, *, query_id: str = "q") -> SearchResult:
        if query_id == self._fails_at:
            raise KeyboardInterrupt
        self._asked.append(f"{self._name} {query_id}")
        times = {"load": 100.0, "bm25": 1.0}
        return SearchResult(
            query_id=query_id, query=text, mode="bm25", hits=(), milliseconds=times, notes=()
        )


def measured(path: Path, asked: list[str], fails_at: str = "", work: str = "w") -> list[Sample]:
    systems: Any = {"a": Recorder("a", asked), "b": Recorder("b", asked, fails_at)}
    return sample_latencies(
        cast("dict[str, SearchPipeline]", systems),
        QUERIES,
        path,
        fingerprint=work,
        progress=NoProgress(),
    )


def test_systems_take_turns_after_a_warm_up(tmp_path: Path) -> None:
    asked: list[str] = []
    samples = measured(tmp_path / "l.jsonl", asked)
    turns = ["a q0", "b q0", "b q1", "a q1", "a q2", "b q2", "b q3", "a q3"]
    assert asked[-8:] == turns
    assert [f"{one.system} {one.query_id}" for one in samples] == turns
    assert asked[:8] == ["a warm", "a q", "a q", "a q", "b warm", "b q", "b q", "b q"]
    assert samples[0].stages == {"bm25": 1.0}, "loading is no part of a query"


def test_an_interrupted_measurement_goes_on(tmp_path: Path) -> None:
    path, asked = tmp_path / "l.jsonl", cast("list[str]", [])
    with pytest.raises(KeyboardInterrupt):
        measured(path, asked, fails_at="q2")
    with path.open("a") as stream:
        stream.write('{"query_id": "q2", "sys')  # torn by the kill
    asked.clear()
    samples = measured(path, asked)
    assert [one for one in asked if " q" in one and one[3:]] == ["b q2", "b q3", "a q3"]
    assert len(samples) == 8
    asked.clear()
    assert measured(path, asked) == samples
    assert asked == []
    assert len(measured(path, asked, work="other")) == 8
    assert asked.count("a q0") == 1, "other work starts anew"
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 9


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written .*; name another folder"):
        measured(tmp_path / "file" / "l.jsonl", [])


def test_percentiles_by_hand() -> None:
    # of 0..100 the p-th percentile is p; a stage that half of the queries skip counts as 0 there
    samples = [
        Sample(f"q{i}", "a", float(i), {"bm25": float(i), "late": 2.0} if i % 2 else {"bm25": i})
        for i in range(101)
    ]
    found = latency_summary(samples)["a"]
    assert found["n"] == 101
    assert found["total"] == {"mean": 50.0, "p5": 5.0, "p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert found["stages"]["late"]["mean"] == pytest.approx(50 * 2 / 101)
    assert found["stages"]["late"]["p50"] == 0.0


def test_queries_are_spread_evenly() -> None:
    assert spread_queries(QUERIES, 9) == QUERIES
    assert spread_queries(QUERIES, 2) == [QUERIES[0], QUERIES[3]]
