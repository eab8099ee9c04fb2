"""Build an index from a corpus: stage after stage, each resumable, published at the end.

Memory is bounded by one batch of rows, the vectors and the lexical arrays, and by the doc_ids (to
find duplicates); never by the text.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from scisearch.index.analyzer import Analyzer
from scisearch.index.build_encoder import BuildEncoder, find_encoder
from scisearch.index.build_plan import BuildConfig, BuildReport
from scisearch.index.build_state import BuildState
from scisearch.index.corpus import Corpus, open_corpus
from scisearch.index.documents import Documents
from scisearch.index.durable import replace_file
from scisearch.index.embedding import dimension_of, embed_shards, read_shards
from scisearch.index.errors import BuildError
from scisearch.index.generations import Generation, build_lock, live_generation, next_name, publish
from scisearch.index.ingest import IngestCounts, check_ingest, ingest
from scisearch.index.lexical import LexicalWriter
from scisearch.index.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    Manifest,
    file_entries,
    library_versions,
)
from scisearch.index.progress import NoProgress, Progress, stage_of
from scisearch.index.seal import seal
from scisearch.index.static_encoder import STATIC_FOLDER
from scisearch.index.stopwatch import Stopwatch

REJECTS_NAME = "rejects.jsonl"
LAST_BUILD_NAME = "last-build.json"


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
    encoder = find_encoder(config)
    with build_lock(folder):
        try:
            return _Build(folder, source, config, encoder, progress or NoProgress()).run()
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
        encoder: BuildEncoder | None,
        progress: Progress,
    ) -> None:
        self._index = index
        self._corpus = corpus
        self._config = config
        self._encoder = encoder
        self._progress = progress
        self._analyzer = Analyzer(config.analyzer)
        self._watch = Stopwatch()
        self._work = index / "build"
        self._generation = self._work / "generation"
        self._corpus_digest = corpus.digest()
        self._state = BuildState(self._work, self._fingerprint())

    def run(self) -> BuildReport:
        if self._state.result("name") is None:
            self._stage("documents", self._write_documents)
            check_ingest(
                self._corpus.path,
                self._counts,
                self._rejects_path,
                skip_bad_rows=self._config.skip_bad_rows,
            )
            self._stage("lexical", self._write_lexical)
            if self._encoder is not None:
                self._stage("tokens", self._write_tokens)
                if self._encoder.is_static:
                    self._stage("distillation", self._distil)
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
            rejects=self._rejects_path if live.manifest.n_rejected else None,
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
            "bm25": self._config.bm25.to_json(),
            "encoder": self._encoder and self._encoder.settings(),
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
        found = self._work / REJECTS_NAME
        counts = ingest(self._corpus, self._documents_path, found, self._progress)
        if counts.n_rejected:
            replace_file(self._rejects_path, found.read_bytes())
        else:
            self._rejects_path.unlink(missing_ok=True)
        return asdict(counts)

    @property
    def _counts(self) -> IngestCounts:
        known = self._known("documents")
        return IngestCounts(int(str(known["n_documents"])), int(str(known["n_rejected"])))

    @property
    def _rejects_path(self) -> Path:
        return self._index / REJECTS_NAME

    # -- what is searched --------------------------------------------------------------------

    @property
    def _documents_path(self) -> Path:
        return self._generation / "documents.arrow"

    def _texts(self, stage: str, done: int = 0, title_weight: int = 1) -> Iterator[list[str]]:
        """The full texts in ordinal order, in shards, with progress."""
        documents = Documents.open(self._documents_path)
        with stage_of(self._progress, stage, len(documents), done=done):
            for texts in documents.iter_full_texts(self._config.shard_rows, title_weight):
                yield texts
                self._progress.advance(len(texts))

    def _write_lexical(self) -> Mapping[str, object]:
        folder = self._fresh_folder("lexical")
        writer = LexicalWriter(folder, self._analyzer, self._config.bm25)
        for texts in self._texts("bm25", title_weight=self._config.bm25.title_weight):
            writer.add(texts)
        writer.finish()
        return {}

    def _write_tokens(self) -> Mapping[str, object]:
        from scisearch.index.tokens import TokenStoreWriter

        folder = self._fresh_folder("tokens")
        writer = TokenStoreWriter(folder, self._required_encoder.model.folder)
        for texts in self._texts("tokens"):
            writer.add(texts)
        return {"tokenizer_digest": writer.finish()}

    def _fresh_folder(self, name: str) -> Path:
        folder = self._generation / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    @property
    def _required_encoder(self) -> BuildEncoder:
        if self._encoder is None:
            raise RuntimeError("a lexical build has no encoder")
        return self._encoder

    # -- vectors -----------------------------------------------------------------------------

    @property
    def _shards(self) -> Path:
        return self._work / "shards"

    def _distil(self) -> Mapping[str, object]:
        from scisearch.index.static_distil import distil

        distil(
            Documents.open(self._documents_path),
            self._work / "distillation",
            self._fresh_folder(STATIC_FOLDER),
            self._required_encoder.openers(),
            self._progress,
        )
        return {}

    def _embed(self) -> Mapping[str, object]:
        own = self._required_encoder
        openers = own.document_openers(self._generation)
        embed_shards(self._texts("embed"), self._shards, openers)
        return {"dimension": dimension_of(self._shards)}

    def _write_vectors(self) -> Mapping[str, object]:
        from scisearch.index.vectors import build_vectors

        with stage_of(self._progress, "vectors", None):
            report = build_vectors(
                read_shards(self._shards),
                n_docs=self._counts.n_documents,
                dimension=int(str(self._known("embedding")["dimension"])),
                factory=self._config.vectors,
                path=self._generation / "vectors.faiss",
            )
        # the time is no property of the index: it would make equal builds differ
        return {name: value for name, value in asdict(report).items() if name != "seconds"}

    # -- manifest ----------------------------------------------------------------------------

    def _write_manifest(self) -> Mapping[str, object]:
        manifest = Manifest(
            n_documents=self._counts.n_documents,
            n_rejected=self._counts.n_rejected,
            corpus={"name": self._corpus.path.name, "sha256": self._corpus_digest},
            analyzer=self._config.analyzer.to_json(),
            bm25=self._config.bm25.to_json(),
            encoder=self._encoder_entry(),
            vectors=self._state.result("vectors"),
            tokens=self._state.result("tokens"),
            files=file_entries(self._generation),
            libraries=library_versions(),
        )
        replace_file(self._generation / MANIFEST_NAME, manifest.to_bytes())
        return {}

    def _encoder_entry(self) -> Mapping[str, object] | None:
        if self._encoder is None:
            return None
        return self._encoder.entry(self._generation, self._known("embedding")["dimension"])
