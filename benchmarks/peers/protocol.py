"""What a benchmark and a peer's process say to each other.

The benchmark writes documents and queries once and starts a process for each peer. The process
answers with one JSON object a line: `ready` when its index is built, `query` after each query,
`done`; or `failed`. Knows no peer, and imports the standard library alone, so that a peer's memory
is its own.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias


class PeerDocument(NamedTuple):
    """A document as every peer gets it; `text` is title and body, what our own stages read."""

    doc_id: str
    title: str
    body: str
    text: str


class PeerQuery(NamedTuple):
    """A query as every peer gets it."""

    query_id: str
    text: str


@dataclass(frozen=True, slots=True)
class PeerJob:
    """What one peer is asked to do. Models are folders; paths are absolute."""

    documents: str  # JSONL of PeerDocument's fields
    queries: str  # JSONL of PeerQuery's fields, in the order in which they are searched
    folder: str  # empty, for what the peer keeps on disk
    cutoff: int  # hits of each query, at most
    rerank_depth: int  # candidates of a cross-encoder
    encoder: str | None = None
    reranker: str | None = None
    device: str | None = None  # as torch names it; None: the best there is
    distributions: tuple[str, ...] = ()  # whose versions are told

    def read_documents(self) -> list[PeerDocument]:
        """All documents, in the order of the index."""
        return [PeerDocument(**line) for line in _lines(self.documents)]

    def read_queries(self) -> list[PeerQuery]:
        """All queries."""
        return [PeerQuery(**line) for line in _lines(self.queries)]


# A query's text in, its hits out: doc_id and score, best first in the peer's own opinion.
PeerSearch: TypeAlias = Callable[[str], Sequence[tuple[str, float]]]
# What a peer's file has as `open_peer`: builds the index and gives back what searches it.
OpenPeer: TypeAlias = Callable[[Sequence[PeerDocument], PeerJob], PeerSearch]


def write_job(job: PeerJob, path: Path) -> None:
    """Keep a job in a file for the process that does it."""
    path.write_text(json.dumps(asdict(job)), encoding="utf-8")


def read_job(path: Path) -> PeerJob:
    """The job in a file."""
    values = json.loads(path.read_text(encoding="utf-8"))
    return PeerJob(**{**values, "distributions": tuple(values["distributions"])})


def _lines(path: str) -> Iterator[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)
