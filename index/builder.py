"""Build an index from a corpus: stage after stage, each resumable, published at the end.

Memory is bounded by one batch of rows, the vectors and the lexical arrays, and by the doc_ids (to
find duplicates); never by the text.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scisearch.index.analyzer import Analyzer, AnalyzerConfig
from scisearch.index.build_state import BuildState
from scisearch.index.corpus import ColumnNames, Corpus, Reject, open_corpus
from scisearch.index.documents import Documents, DocumentWriter
from scisearch.index.durable import replace_file
from scisearch.index.errors import BuildError, CorpusError
from scisearch.index.generations import Generation, build_lock, live_generation, next_name, publish
from scisearch.index.lexical import BM25Parameters, LexicalWriter
from scisearch.index.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    Manifest,
    file_entries,
    library_versions,
)
from scisearch.index.models import BI_ENCODER, ResolvedModel, resolve_model
from scisearch.index.progress import NoProgress, Progress, stage_of
from scisearch.index.seal import seal
from scisearch.index.stopwatch import Stopwatch

if TYPE_CHECKING:
    from scisearch.index.encoder import Encoder

REJECTS_NAME = "rejects.jsonl"
LAST_BUILD_NAME = "last-build.json"


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """What is built, and how."""

    columns: ColumnNames = field(default_factory=ColumnNames)
    skip_bad_rows: bool = False  # leave rejected rows out instead of stopping
    analyzer: AnalyzerConfig = field(default_factory=AnalyzerConfig)
    bm25: BM25Parameters = field(default_factory=BM25Parameters)
    encoder: str | None = BI_ENCODER  # hub id, folder or built-in name; None: lexical only
    vectors: str | None = None  # a faiss.index_factory string; None: by size
    device: str | None = None  # of the encoder; None: CUDA, MPS or CPU, the first there is
    offline: bool = False  # never ask a hub
    shard_rows: int = 512  # documents embedded between two points from which a build continues


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a finished build did."""

    index: Path
    generation: str
    n_documents: int
    n_rejected: int
    continued: bool  # whether it went on from the work of an interrupted build
    vectors: Mapping[str, object] | None  # the vector index: its type and measured recall
    seconds: Mapping[str, float]  # wall time by stage, of this process only


def build_index(
    corpus: str | Path,
    index: str | Path,
    config: BuildConfig | None = None,
    *,
    progress: Progress | None = None,
) -> BuildReport:
    """Build an index of `corpus` in the folder `index` and make it the live generation.

    Until the last step the index that was there stays live. A build that was stopped, at any
    moment, is continued by the same call.

    Raises:
        CorpusError: the corpus cannot be read, or has bad rows and `skip_bad_rows` is off.
        ModelError: the encoder cannot be found or loaded.
        BuildError: the folder cannot be written, or another process builds there.
    """
    config = config or BuildConfig()
    folder = Path(index)
    source = open_corpus(Path(corpus), config.columns)
    model = None
    if config.encoder is not None:
        model = resolve_model(config.encoder, offline=config.offline, kind="bi-encoder")
    with build_lock(folder):
        try:
            return _Build(folder, source, config, model, progress or NoProgress()).run()
        except OSError as error:
            raise BuildError(
                f"{error.filename or folder}: {error.strerror or error}; the index that was there"
                " is as it was, and the same command continues once that is mended"
            ) from error


class _Build:
    """One build: the stages in their order, and what each leaves for the next."""

    def __init__(
        self,
        index: Path,
        corpus: Corpus,
        config: BuildConfig,
        model: ResolvedModel | None,
        progress: Progress,
    ) -> None:
        self._index = index
        self._corpus = corpus
        self._config = config
        self._model = model
        self._progress = progress
        self._analyzer = Analyzer(config.analyzer)
        self._watch = Stopwatch()
        self._work = index / "build"
        self._generation = self._work / "generation"
        self._corpus_digest = corpus.digest()
        self._state = BuildState(self._work, self._fingerprint())

    def run(self) -> BuildReport:
        if self._state.result("name") is None:
            documents = self._stage("documents", self._write_documents)
            self._check_rejects(documents)
            self._stage("lexical", self._write_lexical)
            if self._model is not None:
                self._stage("tokens", self._write_tokens)
                self._stage("embedding", self._embed)
                self._stage("vectors", self._write_vectors)
            self._stage("manifest", self._write_manifest)
            self._state.finish("name", {"name": next_name(self._index)})
        with self._watch.stage("publish"):
            name = str(self._known("name")["name"])
            publish(self._index, self._generation, name)
            live = live_generation(self._index)
            seal(live)
        report = self._report(live)
        seconds = json.dumps({"generation": name, "seconds": dict(report.seconds)})
        replace_file(self._index / LAST_BUILD_NAME, seconds.encode())
        shutil.rmtree(self._work, ignore_errors=True)
        return report

    def _report(self, live: Generation) -> BuildReport:
        return BuildReport(
            index=self._index,
            generation=live.folder.name,
            n_documents=live.manifest.n_documents,
            n_rejected=live.manifest.n_rejected,
            continued=self._state.continued,
            vectors=live.manifest.vectors,
            seconds={name: ms / 1000 for name, ms in self._watch.milliseconds().items()},
        )

    def _fingerprint(self) -> str:
        """Everything that decides the bytes of the finished index."""
        settings = {
            "format": FORMAT_VERSION,
            "corpus": self._corpus_digest,
            "analyzer": self._config.analyzer.to_json(),
            "bm25": asdict(self._config.bm25),
            "encoder": self._model and self._model.sha256,
            "vectors": self._config.vectors,
            "shard_rows": self._config.shard_rows,
            "skip_bad_rows": self._config.skip_bad_rows,
            "libraries": library_versions(),
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def _stage(self, name: str, work: Callable[[], Mapping[str, object]]) -> Mapping[str, object]:
        done = self._state.result(name)
        if done is not None:
            return done
        with self._watch.stage(name):
            self._state.finish(name, work())
        return self._known(name)

    def _known(self, stage: str) -> Mapping[str, object]:
        result = self._state.result(stage)
        if result is None:
            raise RuntimeError(f"stage {stage} is needed before it was finished")
        return result

    # -- documents ---------------------------------------------------------------------------

    def _write_documents(self) -> Mapping[str, object]:
        shutil.rmtree(self._generation, ignore_errors=True)
        self._generation.mkdir(parents=True)
        kept = rejected = 0
        rejects = self._work / REJECTS_NAME
        with (
            stage_of(self._progress, "read", self._corpus.n_rows),
            DocumentWriter(self._documents_path, self._corpus.schema) as writer,
            rejects.open("w", encoding="utf-8") as stream,
        ):
            for batch in self._corpus.batches():
                writer.write(batch.rows)
                stream.writelines(_reject_line(reject) for reject in batch.rejects)
                kept += batch.rows.num_rows
                rejected += len(batch.rejects)
                self._progress.advance(batch.rows.num_rows + len(batch.rejects))
        self._publish_rejects(rejects, rejected)
        return {"n_documents": kept, "n_rejected": rejected}

    def _publish_rejects(self, rejects: Path, rejected: int) -> None:
        target = self._index / REJECTS_NAME
        if rejected:
            replace_file(target, rejects.read_bytes())
        else:
            target.unlink(missing_ok=True)

    def _check_rejects(self, documents: Mapping[str, object]) -> None:
        kept, rejected = documents["n_documents"], documents["n_rejected"]
        if rejected and not self._config.skip_bad_rows:
            first = (self._index / REJECTS_NAME).open(encoding="utf-8").readline()
            example = json.loads(first)
            raise CorpusError(
                f"{self._corpus.path}: {rejected} of {kept + rejected} rows cannot be indexed"  # type: ignore[operator]
                f" (row {example['row']}: {example['reason']}; all in"
                f" {self._index / REJECTS_NAME}); mend them or leave them out with --skip-bad-rows"
            )
        if not kept:
            raise CorpusError(f"{self._corpus.path}: no row can be indexed; expected at least one")

    # -- what is searched --------------------------------------------------------------------

    @property
    def _documents_path(self) -> Path:
        return self._generation / "documents.arrow"

    def _texts(self, stage: str, done: int = 0) -> Iterator[list[str]]:
        """The full texts in ordinal order, in shards, with progress."""
        documents = Documents.open(self._documents_path)
        with stage_of(self._progress, stage, len(documents), done=done):
            for texts in documents.iter_full_texts(self._config.shard_rows):
                yield texts
                self._progress.advance(len(texts))

    def _write_lexical(self) -> Mapping[str, object]:
        folder = self._fresh_folder("lexical")
        writer = LexicalWriter(folder, self._analyzer, self._config.bm25)
        for texts in self._texts("bm25"):
            writer.add(texts)
        writer.finish()
        return {}

    def _write_tokens(self) -> Mapping[str, object]:
        from scisearch.index.tokens import TokenStoreWriter

        folder = self._fresh_folder("tokens")
        writer = TokenStoreWriter(folder, self._required_model.folder)
        for texts in self._texts("tokens"):
            writer.add(texts)
        return {"tokenizer_digest": writer.finish()}

    def _fresh_folder(self, name: str) -> Path:
        folder = self._generation / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    @property
    def _required_model(self) -> ResolvedModel:
        if self._model is None:
            raise RuntimeError("a lexical build has no encoder")
        return self._model

    # -- vectors -----------------------------------------------------------------------------

    @property
    def _shards(self) -> Path:
        return self._work / "shards"

    def _embed(self) -> Mapping[str, object]:
        """Embed the shards that are not there yet; each is whole or absent."""
        from scisearch.index.encoder import open_encoder

        self._shards.mkdir(exist_ok=True)
        encoder: Encoder | None = None
        for number, texts in enumerate(self._texts("embed")):
            path = self._shards / f"{number:06d}.npy"
            if path.exists():
                continue
            encoder = encoder or open_encoder(self._required_model, device=self._config.device)
            buffer = io.BytesIO()
            np.save(buffer, encoder.encode_documents(texts))
            replace_file(path, buffer.getvalue())
        first = np.load(self._shards / "000000.npy", mmap_mode="r")
        return {"dimension": int(first.shape[1])}

    def _write_vectors(self) -> Mapping[str, object]:
        from scisearch.index.vectors import build_vectors

        n_documents = int(str(self._known("documents")["n_documents"]))
        paths = sorted(self._shards.glob("*.npy"))
        with stage_of(self._progress, "vectors", None):
            report = build_vectors(
                (np.load(path) for path in paths),
                n_docs=n_documents,
                dimension=int(str(self._known("embedding")["dimension"])),
                factory=self._config.vectors,
                path=self._generation / "vectors.faiss",
            )
        return report.to_json()

    # -- manifest ----------------------------------------------------------------------------

    def _write_manifest(self) -> Mapping[str, object]:
        documents = self._known("documents")
        manifest = Manifest(
            n_documents=int(str(documents["n_documents"])),
            n_rejected=int(str(documents["n_rejected"])),
            corpus={"name": self._corpus.path.name, "sha256": self._corpus_digest},
            analyzer=self._config.analyzer.to_json(),
            bm25=asdict(self._config.bm25),
            encoder=self._encoder_entry(),
            vectors=self._state.result("vectors"),
            tokens=self._state.result("tokens"),
            files=file_entries(self._generation),
            libraries=library_versions(),
        )
        replace_file(self._generation / MANIFEST_NAME, manifest.to_bytes())
        return {}

    def _encoder_entry(self) -> Mapping[str, object] | None:
        if self._model is None:
            return None
        dimension = self._known("embedding")["dimension"]
        return {"name": self._model.name, "sha256": self._model.sha256, "dimension": dimension}


def _reject_line(reject: Reject) -> str:
    return json.dumps(asdict(reject), ensure_ascii=False) + "\n"
