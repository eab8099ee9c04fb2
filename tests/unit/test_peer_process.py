"""Peers that misbehave, in real processes: each ends in one line, and nothing of it is left."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from scisearch.benchmarks.peers.catalogue import PeerSpec
from scisearch.benchmarks.peers.process import PeerFailure, PeerResult, run_peer
from scisearch.benchmarks.peers.protocol import PeerDocument, PeerJob, PeerQuery, write_job

DOCUMENTS = [PeerDocument(f"d{i}", f"T{i}", f"b{i}", f"T{i} b{i}") for i in range(3)]
GOOD = """
def open_peer(documents, job):
    print("a library that prints")
    return lambda query: [(one.doc_id, 1.0) for one in documents if one.title in query]
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PeerJob:
    """Two queries on three documents; modules beside them can be imported by the child."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *_python_path()]))
    queries = [PeerQuery("q0", "T0 T2"), PeerQuery("q1", "T1")]
    (tmp_path / "documents.jsonl").write_text(_lines(DOCUMENTS))
    (tmp_path / "queries.jsonl").write_text(_lines(queries))
    (tmp_path / "peer").mkdir()
    return PeerJob(
        documents=str(tmp_path / "documents.jsonl"),
        queries=str(tmp_path / "queries.jsonl"),
        folder=str(tmp_path / "peer"),
        cutoff=2,
        rerank_depth=2,
        distributions=("numpy", "no-such-distribution"),
    )


def _lines(rows: Sequence[PeerDocument] | Sequence[PeerQuery]) -> str:
    return "".join(json.dumps(one._asdict()) + "\n" for one in rows)


def _python_path() -> list[str]:
    return [path for path in [os.environ.get("PYTHONPATH")] if path]


def run(job: PeerJob, code: str, timeout: float = 60) -> PeerResult:
    module = Path(job.folder).with_name("some_peer.py")
    module.write_text(code)
    peer = PeerSpec("some", "some_peer", "bm25", ("numpy",), "for a test")
    known = {one.doc_id for one in DOCUMENTS}
    return run_peer(peer, job, known=known.__contains__, timeout=timeout)


def test_a_peer_that_works(job: PeerJob) -> None:
    result = run(job, GOOD)
    assert [hit.doc_id for hit in result.hits["q0"]] == ["d0", "d2"]
    upper, lower = result.hits["q0"]
    assert upper.score > lower.score > 0.999  # the peer's order, which equal scores did not say
    assert [hit.doc_id for hit in result.hits["q1"]] == ["d1"]
    assert all(ms > 0 for ms in result.milliseconds.values())
    assert list(result.versions) == ["numpy"]
    if sys.platform == "linux":
        assert result.peak_rss_bytes is not None
        assert 5e6 < result.peak_rss_bytes < 100e6, "no library that the peer did not import"


SEARCH = "def open_peer(documents, job):\n    def search(query):\n        {}\n    return search\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "import no_such_library",
            r"cannot be imported \(No module named 'no_such_library'\); pip",
        ),
        ("from json import no_such_name", r"cannot be imported \(cannot import name"),
        ("import os\nos._exit(7)", "ended with code 7 before it finished its index"),
        ("import os\nos.kill(os.getpid(), 11)", "was killed by signal 11 before it finished its"),
        ("raise SystemExit('no licence')", "ended with code 1 .* its index: no licence; see .*log"),
        ("x = 1", "raised AttributeError: module 'some_peer' has no attribute 'open_peer'"),
        (SEARCH.format("raise ValueError('a\\nb')"), "^raised ValueError: a b$"),
        (SEARCH.format("return [('d9', 1.0)]"), "q0: gave document 'd9', which is not in the"),
        (SEARCH.format("return [('d1', 2.0), ('d1', 1.0)]"), "q0: gave a document twice"),
        (SEARCH.format("return [('d1', float('nan'))]"), "q0: gave document 'd1' the score nan"),
        (SEARCH.format("return [(d.doc_id, 1) for d in documents]"), "gave 3 hits, expected at mo"),
        (SEARCH.format("return None"), "raised TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_a_failure_is_one_line(job: PeerJob, code: str, words: str) -> None:
    with pytest.raises(PeerFailure, match=words) as failure:
        run(job, code)
    assert "\n" not in str(failure.value)


def test_a_crash_amid_the_queries(job: PeerJob) -> None:
    code = SEARCH.format("__import__('os').abort() if 'T1' in query else None; return []")
    code = code.replace(
        "def search", "from itertools import count\n    n = count()\n    def search"
    )
    code = code.replace("'T1' in query", "next(n) > 2")  # the first queries are warm-up
    with pytest.raises(PeerFailure, match="was killed by signal 6 before it finished a query"):
        run(job, code)


def test_a_peer_that_hangs_is_ended_with_what_it_started(job: PeerJob, tmp_path: Path) -> None:
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(PeerFailure, match=r"did not finish its index in 5 s; raise --peer-timeout"):
        run(job, code, timeout=5)
    pid = (tmp_path / "pid").read_text()
    patience = time.monotonic() + 60  # a busy machine takes its time to end what is killed
    while sys.platform == "linux" and _is_alive(pid):
        assert time.monotonic() < patience, "what the peer had started is still there"
        time.sleep(0.05)


def _is_alive(pid: str) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_peer_does_not_outlive_the_benchmark(job: PeerJob, tmp_path: Path) -> None:
    (tmp_path / "some_peer.py").write_text("import time\ntime.sleep(600)\n")
    write_job(job, tmp_path / "job.json")
    child = "scisearch.benchmarks.peers.child"
    with subprocess.Popen(
        [sys.executable, "-P", "-m", child, "some_peer", str(tmp_path / "job.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        process.stdin.close()  # as the system does when the benchmark is killed
        assert process.wait(timeout=60) == 3
