"""`search benchmark` as typed, with BM25 alone: no model, moments."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scisearch.benchmarks import measurement
from scisearch.benchmarks.card import read_card
from scisearch.benchmarks.kept_cards import write_kept_card
from scisearch.cli import main

Search = Callable[..., Result]
WORDS = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice")


def search(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == code, result.output + result.stderr + repr(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def benchmark(collection: Path, out: Path, *more: object, code: int = 0) -> Result:
    options = ("--systems", "bm25", "--no-cold-start", "--no-plots", "--out", out)
    return search("benchmark", collection, *options, *more, code=code)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Query i has one word, and the first of two documents with it is relevant."""
    folder = tmp_path / "words"
    folder.mkdir()
    rows = [
        {"doc_id": f"{word}-{i}", "text": f"{word} and more" + " words" * i}
        for word in WORDS
        for i in range(2)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "topics.tsv").write_text("".join(f"q{i}\t{w}\n" for i, w in enumerate(WORDS)))
    (folder / "qrels.tsv").write_text(
        "".join(f"q{i} 0 {word}-{i % 2} 1\n" for i, word in enumerate(WORDS))
    )
    return folder


def test_the_demo_gives_a_card_a_report_and_runs(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "report"
    options = ("--systems", "bm25", "--latency-queries", 5)
    shown = search("benchmark", "--out", out, *options).output
    assert "bm25    0.5760 [0.5306, 0.6206]" in shown  # the figure in README.md
    assert "32% of what bm25 misses (0.424 of nDCG@10) was never a candidate" in shown
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert card["collection"]["n_queries"] == 196
    bm25 = card["systems"]["bm25"]
    assert list(bm25["latency"]["stages"]) == ["analyse", "bm25", "fuse", "materialise"]
    assert bm25["latency"]["n"] == 5
    assert 0.05 < bm25["cold_start"]["seconds"] < 120
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "![quality latency](quality-latency.png)" in report
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg ") == 3
    memory = card["environment"]["memory_bytes"]
    assert memory["index_built"]
    assert memory["peak_rss"] > 5e7
    assert set(bm25["quality"]["ties"]["intervals"]) == set(bm25["quality"]["measures"])
    assert bm25["reliability"] is None
    assert card["loss"]["truncation"] is None
    for name in ("quality-latency", "stages", "recall"):
        assert (out / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
        assert b"</svg>" in (out / f"{name}.svg").read_bytes()
    evaluated = search("evaluate", out / "runs" / "bm25.run", out / "demo" / "qrels.txt").output
    assert "nDCG@10  0.5760" in evaluated


def test_a_card_is_verified_and_a_changed_one_is_not(tmp_path: Path, collection: Path) -> None:
    out = tmp_path / "report"
    benchmark(collection, out)
    card = json.loads((out / "card.json").read_text())
    assert card["systems"]["bm25"]["quality"]["measures"]["RR@10"]["mean"] == 0.75
    assert "reproduced: 14 values of quality" in search(
        "benchmark", "--verify", out / "card.json"
    ).output.replace("\n", " ")

    card["systems"]["bm25"]["quality"]["per_query"]["q1"] += 1e-12
    card["environment"]["versions"]["numpy"] = "1.0"
    (out / "card.json").write_text(json.dumps(card))
    found = search("benchmark", "--verify", out / "card.json", "--json", code=1).output
    changes = json.loads(found)["changes"]
    told = {(one["kind"], one["what"]) for one in changes if one["kind"] != "time"}
    assert told == {("quality", "bm25 nDCG@10 of q1"), ("version", "numpy")}


def test_a_kept_card_is_verified_with_the_collection_where_it_is_now(
    tmp_path: Path, collection: Path
) -> None:
    out, kept = tmp_path / "report", tmp_path / "kept.json"
    benchmark(collection, out)
    card = read_card(out / "card.json")
    write_kept_card(card, kept)
    moved = collection.rename(tmp_path / "moved")
    message = search("benchmark", "--verify", kept, code=1).stderr
    assert "words: no such folder" in message or "words: is neither a folder" in message
    found = search("benchmark", moved, "--verify", kept, "--out", tmp_path / "again").output
    assert "reproduced: 7 values of quality are exactly the same" in found
    (moved / "qrels.tsv").write_text("q0 0 gene-1 1\n")
    found = search("benchmark", moved, "--verify", kept, "--out", tmp_path / "again", code=1).output
    assert "input: qrels: " in found
    assert "quality: bm25 nDCG@10 of all queries, sha256: " in found


def test_an_interrupted_benchmark_is_continued(
    tmp_path: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report"

    def killed(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(measurement, "read_run", killed)  # after the run file, before the card
        benchmark(collection, out, code=1)
    samples = (out / "latency.jsonl.partial").read_bytes()
    run = (out / "runs" / "bm25.run").stat()
    benchmark(collection, out)
    assert (out / "latency.jsonl").read_bytes() == samples
    assert (out / "runs" / "bm25.run").stat().st_ino == run.st_ino
    assert not (out / "work.json").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("qrels.tsv", "", "found no judgement, expected lines"),
        ("qrels.tsv", "other 0 gene-0 1\n", "found no query of topics.tsv with a positive"),
        ("topics.tsv", "", "found no topic"),
        ("topics.tsv", None, "found none of queries.jsonl, topics.tsv"),
        ("qrels.tsv", "q0 0 gene-0 0\n", "found no query of topics.tsv with a positive"),
        ("qrels.tsv", "q0 0 doc:gene-0 1\nq1 0 doc:protein-0 1\n", "have the prefix 'doc:' that"),
    ],
    ids=["empty split", "no judged query", "no queries", "no topics", "only zeros", "other ids"],
)
def test_what_does_not_fit_is_told_in_a_line_before_any_work(
    tmp_path: Path, collection: Path, name: str, content: str | None, words: str
) -> None:
    (collection / name).unlink()
    if content is not None:
        (collection / name).write_text(content)
    error = benchmark(collection, tmp_path / "report", code=1).stderr
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "report" / "runs").exists()


def test_other_mistakes_are_told_in_a_line(tmp_path: Path, collection: Path) -> None:
    out = tmp_path / "report"
    assert "no such folder, expected one with" in benchmark(tmp_path / "no", out, code=1).stderr
    wrong = search("benchmark", collection, "--systems", "bm25,best", "--out", out, code=1).stderr
    assert "systems: found best, expected some of bm25,dense,hybrid,fast,cascade,rerank" in wrong
    assert "expected qrels.dev.tsv" in benchmark(collection, out, "--split", "dev", code=1).stderr
    other = tmp_path / "other.jsonl"
    other.write_text('{"doc_id": "1", "text": "another"}\n')
    search("build-index", other, "--index", tmp_path / "i", "--no-dense")
    message = benchmark(collection, out, "--index", tmp_path / "i", code=1).stderr
    assert "is an index of another corpus than" in message
    (tmp_path / "no-card.json").write_text("{}")
    message = search("benchmark", "--verify", tmp_path / "no-card.json", code=1).stderr
    assert "has card format None, expected 2" in message
