"""A peer's process: `python -m scisearch.benchmarks.peers.child MODULE JOB`.

Builds the peer's index, searches every query alone and times it, and tells of each step on what was
standard output; what a library prints goes to standard error. Ends when its standard input does:
then whoever started it is gone.
"""

import importlib
import json
import os
import sys
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

from scisearch.benchmarks.peers.protocol import OpenPeer, PeerJob, read_job

_WARM_UP_QUERIES = 3  # as our own systems have
Tell = Callable[[dict[str, Any]], None]


def main(module: str, job_path: str) -> int:
    """Do the job; 1 where the peer failed, which is told as well."""
    tell = _take_standard_output()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        # Every model is a folder here: nothing has to be asked of a hub, and no peer shall try.
        os.environ["HF_HUB_OFFLINE"] = "1"
        open_peer: OpenPeer = importlib.import_module(module).open_peer
        _do(open_peer, read_job(Path(job_path)), tell)
    except Exception as error:  # whatever a peer raises is its result
        tell({"event": "failed", "error": type(error).__name__, "message": str(error)})
        return 1
    return 0


def _do(open_peer: OpenPeer, job: PeerJob, tell: Tell) -> None:
    documents, queries = job.read_documents(), job.read_queries()
    begin = perf_counter()
    search = open_peer(documents, job)
    tell({"event": "ready", "build_seconds": perf_counter() - begin})
    for query in queries[:_WARM_UP_QUERIES]:
        search(query.text)
    for query in queries:
        start = perf_counter_ns()
        hits = search(query.text)
        milliseconds = (perf_counter_ns() - start) / 1e6
        tell(
            {
                "event": "query",
                "query_id": query.query_id,
                "milliseconds": milliseconds,
                "hits": [[doc_id, float(score)] for doc_id, score in hits],
            }
        )
    tell(
        {
            "event": "done",
            "peak_rss_bytes": _peak_rss_bytes(),
            "versions": _versions(job.distributions),
        }
    )


def _take_standard_output() -> Tell:
    """What tells the parent; from here on prints of a library cannot come between."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        stream.write(json.dumps(message) + "\n")
        stream.flush()

    return tell


def _end_with_parent() -> None:
    # not sys.stdin: a thread that waits in its buffer makes the interpreter abort at its end
    while os.read(0, 1):
        pass
    os._exit(3)  # not sys.exit: the main thread may be deep in a library that never returns


def _versions(distributions: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _peak_rss_bytes() -> int | None:
    """The largest resident memory of this process so far; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(
            int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")
        )
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    # not Linux, so it does not begin with the memory of the parent
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
