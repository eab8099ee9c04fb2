"""All peers of a benchmark, one after another: their run files, times and failures.

A finished peer is remembered like everything else that a benchmark has measured; one that failed is
tried again by the next benchmark of the same request.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from scisearch.benchmarks.benchmark_request import BenchmarkRequest
from scisearch.benchmarks.peers.catalogue import PeerSpec, peer_specs
from scisearch.benchmarks.peers.process import PeerFailure, PeerResult, run_peer
from scisearch.benchmarks.peers.protocol import PeerDocument, PeerJob, PeerQuery
from scisearch.index.documents import full_text
from scisearch.index.durable import replace_file
from scisearch.index.errors import ConfigError, ModelError, RankingError
from scisearch.index.manifest import file_sha256
from scisearch.index.models import (
    DEFAULT_BI_ENCODER,
    DEFAULT_CROSS_ENCODER,
    STATIC_ENCODER,
    ResolvedModel,
    resolve_model,
)
from scisearch.index.opened import OpenIndex
from scisearch.index.progress import Progress, stage_of
from scisearch.retrieval.ranking import Query, Run
from scisearch.retrieval.trec import format_run, read_run


class Memory(Protocol):
    """What a benchmark remembers when it is interrupted."""

    def known(self, key: str) -> Any:
        """What was remembered, None for nothing."""
        ...

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON value."""
        ...


@dataclass(frozen=True, slots=True)
class PeerRuns:
    """Peer -> its run and the JSON facts about it; or the line that says why there is none."""

    runs: Mapping[str, Run]
    facts: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]


class PeerMeasurement:
    """The peers of one request over the documents of one open index."""

    def __init__(
        self,
        request: BenchmarkRequest,
        queries: Iterable[Query],
        index: OpenIndex,
        *,
        cutoff: int,
        memory: Memory,
        progress: Progress,
    ) -> None:
        """Take what is measured; `cutoff` is how many hits a run has for each query."""
        self._request = request
        self._queries = list(queries)
        self._index = index
        self._cutoff = cutoff
        self._memory = memory
        self._progress = progress
        self._folder = (request.out / "peers").absolute()
        self._inputs_written = False

    def measure(self) -> PeerRuns:
        """Every peer's run, or why it has none.

        Raises:
            ConfigError: an unknown peer, or the folder cannot be written.
        """
        runs: dict[str, Run] = {}
        facts: dict[str, Mapping[str, Any]] = {}
        failed: dict[str, str] = {}
        for peer in peer_specs(self._request.peers):
            try:
                found = self._measured(peer)
                runs[peer.name] = read_run(self._request.out / found["file"])
                facts[peer.name] = found
            except (PeerFailure, ModelError, RankingError) as error:
                failed[peer.name] = str(error)
            except OSError as error:
                raise ConfigError(
                    f"{self._folder}: cannot be written ({error.strerror}); free the disk"
                ) from error
        for name in ("documents.jsonl", "queries.jsonl"):
            (self._folder / name).unlink(missing_ok=True)
        return PeerRuns(runs, facts, failed)

    def _measured(self, peer: PeerSpec) -> dict[str, Any]:
        models = self._models_of(peer)
        digests = {what: model.sha256 for what, model in models.items()}
        made_by = {"models": digests, "versions": _installed(peer), "cutoff": self._cutoff}
        key, file = f"peer {peer.name}", f"runs/peers/{peer.name}.run"
        path = self._request.out / file
        known: dict[str, Any] | None = self._memory.known(key)
        if (
            known
            and known["made_by"] == made_by
            and path.is_file()
            and file_sha256(path) == known["sha256"]
        ):
            return known
        result = self._run(peer, models)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (format_run(q, hits, tag=peer.name) for q, hits in result.hits.items())
        replace_file(path, "".join(lines).encode())
        found = {
            "file": file,
            "sha256": file_sha256(path),
            "made_by": made_by,
            "models": digests,
            "versions": result.versions,
            "build_seconds": result.build_seconds,
            "peak_rss_bytes": result.peak_rss_bytes,
            "milliseconds": result.milliseconds,
        }
        self._memory.remember(key, found)
        return found

    def _run(self, peer: PeerSpec, models: Mapping[str, ResolvedModel]) -> PeerResult:
        self._write_inputs()
        folder = self._folder / peer.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        job = PeerJob(
            documents=str(self._folder / "documents.jsonl"),
            queries=str(self._folder / "queries.jsonl"),
            folder=str(folder),
            cutoff=self._cutoff,
            rerank_depth=self._request.search.rerank_depth,
            encoder=_folder(models.get("encoder")),
            reranker=_folder(models.get("reranker")),
            device=self._request.search.device,
            distributions=peer.distributions,
        )
        documents = self._index.documents
        try:
            with stage_of(self._progress, f"peer {peer.name}", len(self._queries), unit="queries"):
                return run_peer(
                    peer,
                    job,
                    known=lambda doc_id: documents.ordinal(doc_id) is not None,
                    timeout=self._request.peer_timeout,
                    advance=lambda: self._progress.advance(1),
                )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _models_of(self, peer: PeerSpec) -> dict[str, ResolvedModel]:
        """The models that our own systems use, where the peer needs one.

        Raises:
            ModelError: one cannot be found, or is the index's own, which no peer reads.
        """
        search, encoder = self._request.search, self._index.manifest.encoder
        name = search.encoder or (str(encoder["name"]) if encoder else DEFAULT_BI_ENCODER)
        if peer.encodes and name == STATIC_ENCODER:
            raise ModelError(
                f"{self._index.path}: has the encoder {name}, which only scisearch reads, expected"
                " a bi-encoder for the peer; leave out --encoder, or name another --index"
            )
        models: dict[str, ResolvedModel] = {}
        if peer.encodes:
            models["encoder"] = resolve_model(name, offline=search.offline, kind="bi-encoder")
        if peer.reranks:
            models["reranker"] = resolve_model(
                search.reranker or DEFAULT_CROSS_ENCODER,
                offline=search.offline,
                kind="cross-encoder",
            )
        return models

    def _write_inputs(self) -> None:
        """The documents of the index and the queries, once for all peers."""
        if self._inputs_written:  # not whether they are there: of which collection might they be?
            return
        self._inputs_written = True
        self._folder.mkdir(parents=True, exist_ok=True)
        _write_lines(self._folder / "queries.jsonl", (_query_fields(q) for q in self._queries))
        _write_lines(self._folder / "documents.jsonl", _document_fields(self._index))


def _folder(model: ResolvedModel | None) -> str | None:
    return None if model is None else str(model.folder)


def _query_fields(query: Query) -> dict[str, str]:
    # what a tokeniser in Rust refuses: lone surrogates
    text = query.text.encode(errors="replace").decode()
    return PeerQuery(query.query_id, text)._asdict()


def _document_fields(index: OpenIndex) -> Iterable[dict[str, str]]:
    columns = [index.documents.column(name) for name in ("doc_id", "title", "text")]
    for chunks in zip(*(column.chunks for column in columns), strict=True):
        for doc_id, title, text in zip(*(chunk.to_pylist() for chunk in chunks), strict=True):
            title, text = title or "", text or ""
            yield PeerDocument(doc_id, title, text, full_text(title, text))._asdict()


def _write_lines(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row) + "\n")


def _installed(peer: PeerSpec) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in peer.distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
