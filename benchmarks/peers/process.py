"""One peer in a process of its own: started, listened to, and ended whatever it does.

A peer that cannot be imported, raises, crashes, hangs or answers nonsense is a `PeerFailure` with
one line; nothing of it reaches the benchmark.
"""

import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from scisearch.benchmarks.peers.catalogue import PeerSpec
from scisearch.benchmarks.peers.protocol import PeerJob, write_job
from scisearch.retrieval.ranking import Hit, strictly_decreasing

_CHILD = "scisearch.benchmarks.peers.child"
_EVENTS = ("ready", "query", "done", "failed")
_SHOWN_ERROR = 200
_ENDING_SECONDS = 10.0


class PeerFailure(Exception):
    """Why there is no result of a peer, in one line."""


@dataclass(slots=True)
class PeerResult:
    """What a peer's process told. Times are of its own clock, one query at a time."""

    hits: dict[str, tuple[Hit, ...]] = field(default_factory=dict)  # query_id -> best first
    milliseconds: dict[str, float] = field(default_factory=dict)  # by query_id
    build_seconds: float = 0.0
    peak_rss_bytes: int | None = None
    versions: dict[str, str] = field(default_factory=dict)


def run_peer(
    peer: PeerSpec,
    job: PeerJob,
    *,
    known: Callable[[str], bool],
    timeout: float,
    advance: Callable[[], None] = lambda: None,
) -> PeerResult:
    """The answers of one peer to all queries of its job.

    Args:
        peer: which one.
        job: its folder must be there; the process' log goes beside it.
        known: whether a doc_id is one of the documents.
        timeout: seconds in which it has to finish its index, and each query.
        advance: called after each query.

    Raises:
        PeerFailure: it gave no full result.
    """
    folder = Path(job.folder)
    job_path = folder.with_suffix(".job.json")
    write_job(job, job_path)
    log = folder.with_suffix(".log")
    result = PeerResult()
    with log.open("wb") as stderr:
        process = _start(peer.module, job_path, stderr)
        lines: queue.Queue[bytes] = queue.Queue()
        listener = threading.Thread(target=_listen, args=(process.stdout, lines), daemon=True)
        listener.start()
        try:
            for message in _messages(process, lines, timeout, log):
                if _take(message, result, known, job.cutoff):
                    advance()
        finally:
            _end(process, listener)
    expected = len(job.read_queries())
    if len(result.hits) != expected:
        raise PeerFailure(f"answered {len(result.hits)} queries, expected {expected}")
    return result


def _start(module: str, job_path: Path, stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
    try:
        # -P: a folder named like a library where the user stands must not be taken for it
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _CHILD, module, str(job_path)],
            stdin=subprocess.PIPE,  # never written to: its end tells the child that we are gone
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # so that its own children can be ended with it
        )
    except OSError as error:
        raise PeerFailure(f"its process cannot be started ({error.strerror})") from error


def _messages(
    process: "subprocess.Popen[bytes]", lines: "queue.Queue[bytes]", timeout: float, log: Path
) -> Iterator[dict[str, Any]]:
    """What the process says until it is done."""
    doing = "its index"
    while True:
        try:
            line = lines.get(timeout=timeout)
        except queue.Empty:
            raise PeerFailure(
                f"did not finish {doing} in {timeout:g} s; raise --peer-timeout"
            ) from None
        if not line:
            raise PeerFailure(_crash(process, doing, log))
        message = _parsed(line)
        if message["event"] == "done":
            yield message
            return
        if message["event"] == "failed":
            raise PeerFailure(_failed(message))
        yield message
        doing = "a query"


def _listen(stream: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(b"")


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message: dict[str, Any] = json.loads(line)
        if message["event"] in _EVENTS:
            return message
    except (ValueError, TypeError, KeyError):
        pass
    raise PeerFailure(f"said {_shortened(line)!r}, expected a message of the protocol")


def _take(
    message: dict[str, Any], result: PeerResult, known: Callable[[str], bool], cutoff: int
) -> bool:
    """Put a message into the result; true where it is a query's."""
    if message["event"] == "ready":
        result.build_seconds = message["build_seconds"]
    elif message["event"] == "done":
        result.peak_rss_bytes, result.versions = message["peak_rss_bytes"], message["versions"]
    else:
        query_id = message["query_id"]
        result.hits[query_id] = _checked(query_id, message["hits"], known, cutoff)
        result.milliseconds[query_id] = message["milliseconds"]
        return True
    return False


def _checked(
    query_id: str, found: Sequence[tuple[str, float]], known: Callable[[str], bool], cutoff: int
) -> tuple[Hit, ...]:
    """The hits in the peer's own order, scores lowered a little where they do not say it."""
    doc_ids = [doc_id for doc_id, _ in found]
    where = f"query {query_id}: "
    if len(found) > cutoff:
        raise PeerFailure(f"{where}gave {len(found)} hits, expected at most {cutoff}")
    if len(set(doc_ids)) != len(doc_ids):
        raise PeerFailure(f"{where}gave a document twice")
    for doc_id, score in found:
        if not known(doc_id):
            raise PeerFailure(f"{where}gave document {doc_id!r}, which is not in the collection")
        if not math.isfinite(score):
            raise PeerFailure(f"{where}gave document {doc_id!r} the score {score}")
    scores = strictly_decreasing(np.array([score for _, score in found], dtype=np.float32))
    return tuple(Hit(doc_id, float(s)) for doc_id, s in zip(doc_ids, scores, strict=True))


def _failed(message: dict[str, Any]) -> str:
    text = _shortened(message["message"].encode(errors="replace"))
    if message["error"] in ("ModuleNotFoundError", "ImportError"):
        return f"cannot be imported ({text}); pip install 'scisearch[peers]'"
    return f"raised {message['error']}: {text}"


def _crash(process: "subprocess.Popen[bytes]", doing: str, log: Path) -> str:
    try:
        code = process.wait(timeout=_ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        return f"stopped talking before it finished {doing}; see {log}"
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    words = log.read_bytes().strip().splitlines()
    last = f": {_shortened(words[-1])}" if words else ""
    return f"{how} before it finished {doing}{last}; see {log}"


def _shortened(text: bytes) -> str:
    line = " ".join(text.decode(errors="replace").split())
    return line if len(line) <= _SHOWN_ERROR else line[: _SHOWN_ERROR - 1] + "…"


def _end(process: "subprocess.Popen[bytes]", listener: threading.Thread) -> None:
    """End the process, finished or not, with all that it started: what it had to say is said."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)  # its session is its own
        else:  # pragma: no cover (Windows)
            process.kill()
    except (ProcessLookupError, PermissionError):  # nobody is left
        pass
    process.wait()
    listener.join(_ENDING_SECONDS)
    for stream in (process.stdin, process.stdout):
        if stream is not None and not listener.is_alive():
            stream.close()
