"""The systems that a benchmark compares: one index, and a pipeline for each mode of search."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.findings import examples
from scisearch.benchmarks.id_mismatch import likely_cause
from scisearch.benchmarks.system_names import System
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.corpus import open_corpus
from scisearch.index.errors import ConfigError, RankingError
from scisearch.index.generations import CURRENT_NAME
from scisearch.index.models import (
    DEFAULT_BI_ENCODER,
    FAST_CROSS_ENCODER,
    STATIC_ENCODER,
    resolve_model,
)
from scisearch.index.opened import OpenIndex, open_index
from scisearch.index.progress import NoProgress, Progress
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.search_config import MODES, SearchConfig
from scisearch.retrieval.dense import DenseRetriever, open_dense

_COMPARED_IDS = 1000


def index_of(
    collection: Collection,
    path: Path,
    config: SearchConfig,
    *,
    own: bool,
    dense: bool,
    progress: Progress | None = None,
) -> OpenIndex:
    """The collection's index at `path`, built if there is none.

    Args:
        collection: whose corpus it must be of.
        path: the index folder.
        config: names encoder and device of a build.
        own: the benchmark made it, and may build it again; else it is only read.
        dense: whether a build has vectors.
        progress: told how far a build is.

    Raises:
        ConfigError: there is somebody's index of another corpus.
        ScisearchError: it cannot be built or opened.
    """
    digest = open_corpus(collection.corpus).digest()
    if (path / CURRENT_NAME).exists():
        index = open_index(path)
        right = index.manifest.corpus.get("sha256") == digest
        if right and (not own or not dense or _has_vectors_of(index, config)):
            return index
        if not own:
            raise ConfigError(
                f"{path}: is an index of another corpus than {collection.corpus}; name another"
                " --index, or leave it out and one is built"
            )
    # Collections hold empty documents (two of Cranfield's): nothing can find those.
    build = BuildConfig(
        device=config.device,
        offline=config.offline,
        runtime=config.runtime,
        skip_bad_rows=True,
    )
    build = replace(build, encoder=(config.encoder or build.encoder) if dense else None)
    build_index(collection.corpus, path, build, progress=progress or NoProgress())
    return open_index(path)


def open_systems(
    index: OpenIndex, config: SearchConfig, names: Sequence[System] | None
) -> dict[System, SearchPipeline]:
    """A pipeline for each system, over one open index; they share one bi-encoder.

    Args:
        index: what they search.
        config: their numbers; the mode is set here, of `fast` also the cross-encoder.
        names: which ones; None: every mode that the index allows.

    Raises:
        ConfigError: one that the index has no part for.
    """
    if names is None:
        names = [mode for mode in MODES if mode not in ("dense", "hybrid") or index.has_vectors]

    @cache
    def dense() -> DenseRetriever:
        return open_dense(
            index,
            encoder=config.encoder,
            device=config.device,
            offline=config.offline,
            runtime=config.runtime,
        )

    return {name: SearchPipeline(index, config_of(name, config), dense=dense) for name in names}


def config_of(system: System, config: SearchConfig) -> SearchConfig:
    """The numbers of a benchmark as the settings of one of its systems."""
    if system == "fast":  # the first step of a cascade, and so never one itself
        rerank = "full" if config.rerank == "cascade" else config.rerank
        return replace(config, mode="rerank", reranker=FAST_CROSS_ENCODER, rerank=rerank)
    if system == "cascade":
        return replace(config, mode="rerank", rerank="cascade")
    return replace(config, mode=system)


def at_cutoff(pipeline: SearchPipeline, cutoff: int) -> SearchPipeline:
    """The same pipeline with its loaded models, but with another number of hits."""
    changed = copy(pipeline)  # a second one would load the models a second time
    changed.config = replace(pipeline.config, cutoff=cutoff)
    return changed


def check_documents_known(collection: Collection, index: OpenIndex) -> None:
    """Pass if any relevant document is in the index: told before hours of work, not after.

    Raises:
        RankingError: none is, so that every measure would be 0.
    """
    relevant = {
        doc_id: None
        for query in collection.queries
        for doc_id, gain in collection.qrels[query.query_id].items()
        if gain > 0
    }
    documents = index.documents
    if any(documents.ordinal(doc_id) is not None for doc_id in relevant):
        return
    there = documents.doc_ids(range(min(len(documents), _COMPARED_IDS)))
    # The guesses speak of a run: here the corpus stands in its place.
    cause = likely_cause(there, relevant).replace("the run", "the corpus")
    raise RankingError(
        f"{collection.name}: no relevant document is in the corpus, every measure would be 0: the"
        f" corpus has {examples(there)}, the judgements have {examples(islice(relevant, 4))};"
        f" {cause}"
    )


def model_digests(pipelines: Mapping[System, SearchPipeline]) -> dict[str, dict[str, object]]:
    """The sha256 of the weights that each system uses; loads them."""
    used: dict[str, dict[str, object]] = {}
    for name, pipeline in pipelines.items():
        digests = pipeline.model_digests()
        used[name] = {} if name == "bm25" else {k: v for k, v in digests.items() if v}
    return used


def _has_vectors_of(index: OpenIndex, config: SearchConfig) -> bool:
    encoder = index.manifest.encoder
    if encoder is None:
        return False
    if STATIC_ENCODER in (config.encoder, encoder["name"]):
        return encoder["name"] == config.encoder
    wanted = resolve_model(
        config.encoder or DEFAULT_BI_ENCODER, offline=config.offline, kind="bi-encoder"
    )
    return encoder["sha256"] == wanted.sha256
