"""`search benchmark --peers` as typed, with the peers that are dependencies anyway."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scisearch.benchmarks.peers import catalogue, measuring
from scisearch.benchmarks.peers.catalogue import PEERS, PeerSpec
from scisearch.benchmarks.peers.process import run_peer
from scisearch.cli import main

OPTIONS = ("--systems", "bm25", "--no-cold-start", "--latency-queries", "5")


def search(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == code, result.output + result.stderr + repr(result.exception)
    return result


def card_of(out: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((out / "card.json").read_text(encoding="utf-8"))
    return card


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A peer that crashes, between the others of the catalogue."""
    (tmp_path / "broken_peer.py").write_text("import os\nos.abort()\n")
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    spec = PeerSpec("broken", "broken_peer", "bm25", (), "crashes")
    monkeypatch.setattr(catalogue, "PEERS", (PEERS[0], spec, *PEERS[1:]))
    return "broken"


def test_peers_stand_in_the_same_table_and_a_crash_costs_nothing_else(
    tmp_path: Path, broken: str
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "report"
    shown = search("benchmark", "--out", out, *OPTIONS, "--peers", f"bm25s,rank-bm25,{broken}")
    assert "no result of peer broken: was killed by signal 6" in shown.output
    assert [line.split()[0] for line in shown.output.splitlines()[:4]] == [
        *("system", "bm25", "rank-bm25", "bm25s")
    ]
    peers = card_of(out)["peers"]
    assert list(peers["systems"]) == ["rank-bm25", "bm25s"]
    assert list(peers["failed"]) == ["broken"]
    bm25s = peers["systems"]["bm25s"]
    assert list(bm25s["versions"]) == ["bm25s", "PyStemmer"]
    assert bm25s["latency"]["n"] == 5
    assert 0 < bm25s["latency"]["total"]["p50"] <= bm25s["latency"]["total"]["p99"]
    assert bm25s["peak_rss_bytes"] is None or bm25s["peak_rss_bytes"] > 5e6
    assert [(one["first"], one["second"]) for one in peers["tests"]] == [
        *(("bm25", "rank-bm25"), ("bm25", "bm25s"))
    ]
    measures = bm25s["quality"]["measures"]
    run = out / bm25s["run"]["file"]
    evaluated = search("evaluate", run, out / "demo" / "qrels.txt", "--json").output
    (found,) = json.loads(evaluated)["runs"].values()
    for name in ("nDCG@10", "R@100"):  # by `search evaluate`, from the run file alone
        assert found["measures"][name]["mean"] == pytest.approx(measures[name]["mean"], abs=1e-12)
    own = card_of(out)["systems"]["bm25"]["quality"]["measures"]
    ahead = {(one["peer"], one["what"]) for one in peers["ahead"]}
    for name in ("nDCG@10", "P@10", "R@100"):
        better = measures[name]["mean"] > own[name]["mean"] + 1e-9
        assert (("bm25s", name) in ahead) == better
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "## Peers" in report
    assert "Where a peer is ahead of our system of its kind" in report
    assert not (out / "peers" / "documents.jsonl").exists()
    assert (out / "quality-latency.png").is_file()


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Every query is one word, and one of two documents with it is relevant."""
    words = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice")
    folder = tmp_path / "words"
    folder.mkdir()
    rows = [
        {"doc_id": f"{word}-{i}", "text": f"{word} and more" + " words" * i}
        for word in words
        for i in range(2)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "topics.tsv").write_text("".join(f"q{i}\t{w}\n" for i, w in enumerate(words)))
    (folder / "qrels.tsv").write_text("".join(f"q{i} 0 {w}-0 1\n" for i, w in enumerate(words)))
    return folder


def test_an_interrupted_benchmark_keeps_the_peers_it_has(
    tmp_path: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report"
    whole = ("benchmark", collection, "--out", out, *OPTIONS, "--no-plots", "--peers")
    started: list[str] = []

    def stopped_at_the_second(peer: PeerSpec, *arguments: Any, **more: Any) -> Any:
        started.append(peer.name)
        if len(started) == 2:
            raise KeyboardInterrupt
        return run_peer(peer, *arguments, **more)

    monkeypatch.setattr(measuring, "run_peer", stopped_at_the_second)
    search(*whole, "rank-bm25,bm25s", code=1)
    assert not (out / "card.json").exists()
    run = (out / "runs" / "peers" / "rank-bm25.run").stat()
    samples = (out / "latency.jsonl.partial").read_bytes()
    search(*whole, "rank-bm25,bm25s")
    assert started == ["rank-bm25", "bm25s", "bm25s"]
    assert (out / "runs" / "peers" / "rank-bm25.run").stat().st_ino == run.st_ino
    assert (out / "latency.jsonl").read_bytes() == samples
    best = card_of(out)["peers"]["systems"]["rank-bm25"]["quality"]["measures"]["RR@10"]
    assert best["mean"] == 1.0  # the shorter of two documents with the word


def test_a_card_is_verified_and_what_changed_of_a_peer_is_only_told(
    tmp_path: Path, collection: Path
) -> None:
    out = tmp_path / "report"
    search(
        *("benchmark", collection, "--out", out, *OPTIONS, "--no-plots", "--peers", "rank-bm25"),
    )
    card = card_of(out)
    card["peers"]["systems"]["rank-bm25"]["quality"]["measures"]["nDCG@10"]["mean"] = 0.25
    (out / "card.json").write_text(json.dumps(card))
    shown = search("benchmark", "--verify", out / "card.json").output
    assert "peer: rank-bm25 nDCG@10: 0.25 in the card, 1 now" in shown
    assert "reproduced: 14 values of quality" in shown


def test_a_peer_that_finds_nothing_judged_is_told(
    tmp_path: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def open_peer(documents, job):\n    return lambda query: []\n"
    (tmp_path / "silent_peer.py").write_text(code)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    silent = PeerSpec("silent", "silent_peer", "bm25", (), "finds nothing")
    monkeypatch.setattr(catalogue, "PEERS", (silent,))
    out = tmp_path / "report"
    options = ("--out", out, *OPTIONS, "--no-plots", "--peers", "all")
    shown = search("benchmark", collection, *options).output
    assert "no result of peer silent: " in shown
    assert "silent.run: found no line" in shown
    assert card_of(out)["peers"]["systems"] == {}


def test_a_collection_after_the_option_is_told(tmp_path: Path, collection: Path) -> None:
    error = search("benchmark", "--out", tmp_path / "r", "--peers", collection, code=1).stderr
    assert "the collection goes before --peers" in error
    assert error.count("\n") == 1
