"""Tuning with tiny models: its figures are those of the runs it stands for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scisearch.benchmarks import candidate_scores
from scisearch.cli import main
from scisearch.rerank.config_file import config_of, read_config

pytestmark = pytest.mark.slow

Search = Callable[..., Result]
WORDS = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice", "token")
DEPTHS = ("--depths", "10,14", "--rerank-depths", "10")


def search(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == code, result.output + result.stderr + repr(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Query i has two words; graded are the documents that have both, or one."""
    folder = tmp_path_factory.mktemp("tuned") / "words"
    folder.mkdir()
    pairs = [(a, b) for i, a in enumerate(WORDS) for b in WORDS[i + 1 :]]
    rows = [
        {"doc_id": f"{a}-{b}", "text": f"{a} reads {b}" + " and more" * (i % 3)}
        for i, (a, b) in enumerate(pairs)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = pairs[::3]
    (folder / "topics.tsv").write_text("".join(f"{a}{b}\t{b} {a}\n" for a, b in asked))
    (folder / "qrels.train.tsv").write_text(
        "".join(
            f"{a}{b} 0 {c}-{d} {1 + ({a, b} == {c, d})}\n"
            for a, b in asked
            for c, d in pairs
            if b in (c, d)
        )
    )
    return folder


@pytest.fixture(scope="module")
def tuned(
    collection: Path, tiny_encoder: Path, tiny_cross_encoder: Path
) -> tuple[Path, list[object], dict[str, object]]:
    """The work folder, the command and its JSON."""
    work = collection.parent / "work"
    command: list[object] = [
        *("tune", collection, "--split", "train", "--work", work, "--encoder", tiny_encoder),
        *("--reranker", tiny_cross_encoder, "-o", work / "tuned.toml", *DEPTHS),
        *("--device", "cpu", "--runtime", "torch", "--json"),
    ]
    return work, command, json.loads(search(*command).stdout)


def test_default_figures_are_those_of_a_run(
    tuned: tuple[Path, list[object], dict[str, object]],
    collection: Path,
    tiny_encoder: Path,
    tiny_cross_encoder: Path,
) -> None:
    work, _, report = tuned
    systems = report["systems"]
    assert isinstance(systems, dict)
    assert list(systems) == ["bm25", "dense", "hybrid", "rerank"]
    for mode, of in systems.items():
        run = work / f"{mode}.run"
        models = ("--encoder", tiny_encoder, "--reranker", tiny_cross_encoder, "--device", "cpu")
        options = ("--index", work / "index", "--mode", mode, "--runtime", "torch", *models)
        search("run", collection / "topics.tsv", "-o", run, *options)
        found = search("evaluate", run, collection / "qrels.train.tsv", "--json").stdout
        mean = json.loads(found)["runs"][mode]["measures"]["nDCG@10"]["mean"]
        assert of["default"]["mean"] == pytest.approx(mean, abs=1e-12)


def test_the_same_request_gives_the_same_bytes_and_scores_nothing_again(
    tuned: tuple[Path, list[object], dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    work, command, report = tuned
    config = (work / "tuned.toml").read_bytes()
    scored = (work / "scores.jsonl").read_text()
    pairs = [
        (line["query_id"], ordinal)
        for line in map(json.loads, scored.splitlines()[1:])
        for ordinal in line["ordinals"]
    ]
    assert len(pairs) == len(set(pairs))

    def refuse(*_: object) -> None:
        raise AssertionError("scored again")

    with monkeypatch.context() as patched:
        patched.setattr(candidate_scores.ScoreFile, "_write", refuse)
        assert json.loads(search(*command).stdout) == report
    assert (work / "tuned.toml").read_bytes() == config

    # interrupted: the last line is torn, and only what it had is scored again
    (work / "scores.jsonl").write_text(scored[:-20])
    assert json.loads(search(*command).stdout) == report
    assert (work / "scores.jsonl").read_text() == scored


def test_what_is_written_is_what_a_search_reads(
    tuned: tuple[Path, list[object], dict[str, object]], collection: Path
) -> None:
    work, _, report = tuned
    settings = read_config(work / "tuned.toml")
    assert settings == report["settings"]
    shown = search(
        *("query", "gene protein", "--index", work / "index", "--json"),
        *("--config", work / "tuned.toml", "--runtime", "torch"),
    )
    assert json.loads(shown.stdout)["mode"] == config_of(settings).mode
    text = search(
        *("tune", collection, "--split", "train", "--index", work / "index", "--folds", 3),
        *("--work", work, "--proof", "mean", "-o", work / "other.toml", *DEPTHS),
        *("--encoder", report_encoder(settings, work), "--runtime", "torch"),
    ).stdout
    assert "words train: 36 documents, 12 queries; nDCG@10 by nested cross-validation, 3" in text
    assert "\nChosen: " in text
    assert f"{work / 'other.toml'} is written" in text


def report_encoder(settings: dict[str, object], work: Path) -> object:
    manifest = json.loads(next((work / "index").glob("gen-*/manifest.json")).read_text())
    return settings.get("encoder", manifest["encoder"]["name"])
