"""What a person can do wrong: one line each, exit code 1 or 2, and nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scisearch.cli import main

SEARCH = (sys.executable, "-m", "scisearch.cli")


def refused(*arguments: object) -> str:
    """The one line with which the command refuses."""
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    lines = result.stderr.splitlines()
    assert len([line for line in lines if line.startswith("Error: ")]) == 1, result.stderr
    return lines[-1].removeprefix("Error: ")


Row = Mapping[str, object]


def write(path: Path, rows: Sequence[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    return path


GOOD: list[Row] = [
    {"doc_id": "a", "title": "One", "text": "alpha particles"},
    {"doc_id": "b", "title": "Two", "text": "beta decay"},
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write(tmp_path / "corpus.parquet", GOOD)


@pytest.fixture
def index(tmp_path: Path, corpus: Path) -> Path:
    folder = tmp_path / "index"
    result = CliRunner().invoke(
        main, ["build-index", str(corpus), "--index", str(folder), "--no-dense"]
    )
    assert result.exit_code == 0, result.output
    return folder


def build(corpus: Path, index: Path) -> str:
    return refused("build-index", corpus, "--index", index, "--no-dense")


def test_missing_file(tmp_path: Path) -> None:
    assert "nowhere.parquet" in build(tmp_path / "nowhere.parquet", tmp_path / "index")


def test_directory_instead_of_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "folder" in build(tmp_path / "folder", tmp_path / "index")


def test_parquet_without_a_text_column(tmp_path: Path) -> None:
    path = write(tmp_path / "c.parquet", [{"doc_id": "a", "label": 1}])
    message = build(path, tmp_path / "index")
    assert "--text-column" in message
    assert "label" in message


def test_duplicate_ids_stop_the_build_and_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "c.parquet", [*GOOD, {**GOOD[0], "text": "again"}])
    message = build(path, tmp_path / "index")
    assert "1 of 3 rows cannot be indexed (row 2: " in message
    assert "--skip-bad-rows" in message
    rejects = (tmp_path / "index" / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in rejects] == [2]


def test_bad_rows_can_be_left_out(tmp_path: Path) -> None:
    rows: list[Row] = [*GOOD, GOOD[0], {"doc_id": None, "title": "x", "text": "y"}, {"doc_id": "c"}]
    path = write(tmp_path / "c.parquet", rows)
    options = ["--index", str(tmp_path / "index"), "--no-dense", "--skip-bad-rows", "--json"]
    result = CliRunner().invoke(main, ["build-index", str(path), *options])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert (report["n_documents"], report["n_rejected"]) == (2, 3)


def test_empty_corpus(tmp_path: Path) -> None:
    table = pa.table({"doc_id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    pq.write_table(table, tmp_path / "c.parquet")
    assert "c.parquet" in build(tmp_path / "c.parquet", tmp_path / "index")


def test_integer_ids_become_their_decimal_form(tmp_path: Path) -> None:
    path = write(tmp_path / "c.parquet", [{"doc_id": 12, "title": "", "text": "alpha"}])
    index = tmp_path / "index"
    runner = CliRunner()
    runner.invoke(main, ["build-index", str(path), "--index", str(index), "--no-dense"])
    result = runner.invoke(main, ["query", "alpha", "--index", str(index), "--json"])
    assert json.loads(result.output)["hits"][0]["doc_id"] == "12"


def test_a_document_of_five_megabytes_is_indexed(tmp_path: Path) -> None:
    rows: list[Row] = [*GOOD, {"doc_id": "big", "title": "", "text": "gamma rays " * 500_000}]
    path = write(tmp_path / "c.parquet", rows)
    index = tmp_path / "index"
    runner = CliRunner()
    built = runner.invoke(main, ["build-index", str(path), "--index", str(index), "--no-dense"])
    assert built.exit_code == 0, built.output
    result = runner.invoke(main, ["query", "gamma", "--index", str(index)])
    assert "big  score" in result.output


def test_truncated_parquet(tmp_path: Path, corpus: Path) -> None:
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(corpus.read_bytes()[:-40])
    assert "cut.parquet" in build(cut, tmp_path / "index")


def test_a_failed_build_leaves_the_index_that_was_there(tmp_path: Path, index: Path) -> None:
    bad = write(tmp_path / "bad.parquet", [GOOD[0], GOOD[0]])
    build(bad, index)
    result = CliRunner().invoke(main, ["query", "beta", "--index", str(index)])
    assert "b  score" in result.output


def test_no_index(tmp_path: Path) -> None:
    for command in (["query", "x"], ["info"], ["verify"]):
        message = refused(*command, "--index", tmp_path / "none")
        assert "make one with search build-index" in message


def test_a_flipped_byte_in_any_file_is_found(index: Path) -> None:
    files = [p for p in index.rglob("*") if p.is_file() and p.stat().st_size]
    files = [p for p in files if p.name not in ("last-build.json", "gen-000001.seal")]
    assert len(files) > 8
    for path in files:
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 4
        path.write_bytes(bytes(flipped))
        result = CliRunner().invoke(main, ["verify", "--index", str(index)])
        assert result.exit_code == 1, path
        assert path.name in result.output + result.stderr, path
        assert path.name in refused("query", "x", "--index", index)
        path.write_bytes(content)
    assert CliRunner().invoke(main, ["verify", "--index", str(index)]).exit_code == 0


def test_modes_that_the_index_does_not_allow(index: Path) -> None:
    assert "--no-dense" in refused("query", "x", "--index", index, "--mode", "dense")
    assert "--no-dense" in refused("query", "x", "--index", index, "--mode", "hybrid")


def test_a_model_folder_without_weights(tmp_path: Path, corpus: Path, index: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    message = refused("build-index", corpus, "--index", tmp_path / "new", "--encoder", folder)
    assert str(folder) in message
    assert str(folder) in refused("query", "alpha", "--index", index, "--reranker", folder)


def test_topics_with_a_duplicate_id(tmp_path: Path, index: Path) -> None:
    topics = tmp_path / "topics.tsv"
    topics.write_text("q1\talpha\nq1\tbeta\n")
    message = refused("run", topics, "-o", tmp_path / "out.run", "--index", index)
    assert "topics.tsv:2" in message


def test_malformed_run_and_qrels_lines(tmp_path: Path) -> None:
    run, qrels = tmp_path / "a.run", tmp_path / "q.txt"
    run.write_text("q1 Q0 d1 1 2.5 tag\nq1 d2 2.5\n")
    qrels.write_text("q1 0 d1 1\n")
    assert "a.run:2" in refused("evaluate", run, qrels)
    run.write_text("q1 Q0 d1 1 2.5 tag\n")
    qrels.write_text("q1 0 d1 1\nq1 0 d2 many\n")
    assert "q.txt:2" in refused("evaluate", run, qrels)


def test_ids_that_do_not_match_never_give_silent_zeros(tmp_path: Path) -> None:
    run, qrels = tmp_path / "a.run", tmp_path / "q.txt"
    run.write_text("q1 Q0 d1 1 2.5 tag\n")
    qrels.write_text("query-1 0 d1 1\n")
    assert "q1" in refused("evaluate", run, qrels)
    qrels.write_text("q1 0 DOC-1 1\n")
    assert "d1" in refused("evaluate", run, qrels)


def test_unwritable_places(tmp_path: Path, corpus: Path, index: Path) -> None:
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "index"
    assert "cannot be written" in build(corpus, below)
    topics = tmp_path / "topics.tsv"
    topics.write_text("q1\talpha\n")
    assert "out.run" in refused("run", topics, "-o", below / "out.run", "--index", index)
    assert "cannot be written" in refused("demo", below)


@pytest.mark.skipif(os.name == "nt", reason="file size limits are a POSIX matter")
def test_a_disk_that_takes_no_more(tmp_path: Path, index: Path) -> None:
    """A file size limit stops the build the way a full disk does: in the middle of a write."""
    rows = [{"doc_id": str(i), "text": f"word{i} " * 400} for i in range(400)]
    corpus = write(tmp_path / "large.parquet", rows)
    command = f"ulimit -f 64; exec {sys.executable} -m scisearch.cli build-index {corpus}"
    done = subprocess.run(
        ["bash", "-c", f"{command} --index {index} --no-dense"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "the index that was there is as it was" in done.stderr
    result = CliRunner().invoke(main, ["query", "beta", "--index", str(index)])
    assert "b  score" in result.output


@pytest.mark.skipif(os.name == "nt", reason="signals are a POSIX matter")
def test_an_interrupted_prompt_ends_in_a_line(index: Path) -> None:
    process = started("query", "--index", str(index))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("alpha\n")
    process.stdin.flush()
    assert process.stdout.readline() == " 1. One\n"  # it answers, then waits for the next query
    assert interrupted(process) == "Aborted!"


@pytest.mark.skipif(os.name == "nt", reason="signals are a POSIX matter")
def test_an_interrupted_run_ends_in_a_line_and_can_go_on(tmp_path: Path, index: Path) -> None:
    topics = tmp_path / "topics.tsv"
    topics.write_text("".join(f"q{i}\t{'alpha beta ' * 2000}\n" for i in range(20_000)))
    process = started("run", str(topics), "-o", str(tmp_path / "out.run"), "--index", str(index))
    deadline = time.monotonic() + 60
    while not any(path.name.startswith("out.run") for path in tmp_path.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert interrupted(process) == "Aborted!"
    assert not (tmp_path / "out.run").exists()
    assert any(path.name.startswith("out.run") for path in tmp_path.iterdir())


def started(*arguments: str) -> "subprocess.Popen[str]":
    """The command in a process of its own."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*SEARCH, *arguments],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        preexec_fn=heed_interrupts,
    )


def heed_interrupts() -> None:
    """What a shell starts in the background ignores interrupts, and so would all it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(process: "subprocess.Popen[str]") -> str:
    """The last line on stderr of a process that was interrupted, and exits with 1."""
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1, error
    assert "Traceback" not in error
    return error.splitlines()[-1]
