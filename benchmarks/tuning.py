"""`search tune`: which stages, and which numbers, the judgements of a collection speak for.

first stages, once ─► nDCG@10 of every fusion ─► fusions that some fold chooses ─► their candidates
through the cross-encoder, once ─► nDCG@10 of every interpolation ─► nested cross-validation
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scisearch.benchmarks.benchmark_request import named_collection
from scisearch.benchmarks.candidate_lists import retrieve_once
from scisearch.benchmarks.candidate_scores import ScoreFile
from scisearch.benchmarks.card import digest_of
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.cross_validation import (
    Proof,
    Systems,
    choose,
)
from scisearch.benchmarks.significance import SEED
from scisearch.benchmarks.systems import check_documents_known, index_of
from scisearch.benchmarks.tuning_grid import (
    DEPTHS,
    RERANK_DEPTHS,
    Grid,
    fitting_depths,
    settings_of_system,
    tuning_grid,
)
from scisearch.benchmarks.tuning_report import TuningReport, tuning_report
from scisearch.benchmarks.tuning_tables import (
    candidates,
    first_tables,
    fusions_to_rerank,
    heads_of,
    rerank_tables,
)
from scisearch.index.errors import ConfigError
from scisearch.index.opened import OpenIndex
from scisearch.index.progress import NoProgress, Progress
from scisearch.rerank.open_stage import open_rerank_stage
from scisearch.rerank.phrases import PhraseMatcher
from scisearch.rerank.search_config import SearchConfig
from scisearch.rerank.stage import RerankStage
from scisearch.retrieval.encoder_fusion import fusion_of

_LEAST_QUERIES = 10
_KEPT = 4096  # documents whose terms are remembered: many queries have them at several settings


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """What is tuned on what."""

    collection: str  # a folder, `demo`, or an ir_datasets id
    work: Path  # keeps the index and the cross-encoder's scores
    split: str | None = None
    ignore: Path | None = None
    judged_pool: bool = False
    index: Path | None = None  # None: in `work`, built where there is none
    search: SearchConfig = field(default_factory=SearchConfig)  # its models; the rest is tuned
    reranking: bool = True  # also the cross-encoder; else the first stages only
    depths: tuple[int, ...] | None = None  # of the first stages; None: DEPTHS
    rerank_depths: tuple[int, ...] | None = None
    folds: int = 5
    seed: int = SEED
    proof: Proof = "interval"


def tune(request: TuningRequest, *, progress: Progress | None = None) -> TuningReport:
    """The fullest system that pays for itself on a collection, its settings and expected gain.

    Rule and expectation are those of `cross_validation.choose`. The same request gives the same
    report.

    Raises:
        ConfigError: no such collection, too few queries, or depths that do not fit.
        RankingError: queries, documents and judgements do not meet.
        ScisearchError: the index cannot be built or opened, or a model not be found.
    """
    progress = progress or NoProgress()
    collection = _collection(request)
    index = _index(request, collection, progress)
    n = len(index.documents)
    depths = fitting_depths(request.depths, DEPTHS, n, "depths")
    rerank_depths = fitting_depths(request.rerank_depths, RERANK_DEPTHS, n, "rerank depths")
    reranker = _reranker(request, index)
    kept = None if reranker is None else reranker.interpolation
    fusion = fusion_of(index) if index.has_vectors else None
    grid = tuning_grid(depths, rerank_depths, kept=kept, fusion=fusion)
    systems = _systems(request, collection, index, reranker, grid, progress)
    how: Mapping[str, Any] = {"folds": request.folds, "seed": request.seed}
    return tuning_report(
        systems,
        choose(systems, **how, proof=request.proof),
        describe=lambda system, places: settings_of_system(system, grid, places, request.search),
        facts={
            "collection": collection.name,
            "n_documents": n,
            "protocol": collection.protocol.to_json(),
            "index": index.generation.manifest_sha256,
            "reranker": reranker and reranker.sha256,
            **how,
            "proof": request.proof,
        },
    )


def _collection(request: TuningRequest) -> Collection:
    collection = named_collection(
        request.collection,
        request.work,
        split=request.split,
        ignore=request.ignore,
        judged_pool=request.judged_pool,
    )
    least = max(_LEAST_QUERIES, 2 * request.folds)
    n = len(collection.queries)
    if n < least:
        raise ConfigError(
            f"{collection.name}: found {n} {'query' if n == 1 else 'queries'} with a positive"
            f" judgement, expected at least {least} for {request.folds} folds; with fewer no gain"
            " can be told from chance: judge more queries, or keep the default settings"
        )
    return collection


def _index(request: TuningRequest, collection: Collection, progress: Progress) -> OpenIndex:
    path = request.index or request.work / "index"
    own = request.index is None
    index = index_of(collection, path, request.search, own=own, dense=True, progress=progress)
    check_documents_known(collection, index)
    return index


def _reranker(request: TuningRequest, index: OpenIndex) -> RerankStage | None:
    """The cross-encoder, unless it is left out.

    Raises:
        ConfigError: it is, and there is no second first stage.
    """
    if request.reranking:
        return open_rerank_stage(index, request.search)
    if not index.has_vectors:
        raise ConfigError(
            f"{index.path}: has no vectors, and --no-reranking leaves out the cross-encoder: BM25"
            " alone has nothing to tune; leave out one of them"
        )
    return None


def _systems(
    request: TuningRequest,
    collection: Collection,
    index: OpenIndex,
    reranker: RerankStage | None,
    grid: Grid,
    progress: Progress,
) -> Systems:
    """The tables of all systems; the cross-encoder sees the candidates that some fold asks for."""
    id_rank = index.documents.id_rank
    lists = retrieve_once(index, collection, request.search, depth=grid.deepest, progress=progress)
    tables = first_tables(lists, grid, id_rank, progress)
    fused = tables.get("hybrid")
    if reranker is not None:
        table = None if fused is None else fused[0]
        places = fusions_to_rerank(table, grid, request.folds, request.seed)
        heads = heads_of(lists, grid, places, id_rank)
        fingerprint = digest_of(
            [
                index.generation.manifest_sha256,
                reranker.sha256,
                reranker.runtime_name,
                request.search.long_documents,
                [[query.query_id, query.text] for query in collection.queries],
            ]
        )
        scores = ScoreFile(request.work / "scores.jsonl", fingerprint)
        scores.score(reranker, candidates(lists, heads), progress=progress)
        phrases = PhraseMatcher(index, kept=_KEPT)
        tables["rerank"] = rerank_tables(
            lists,
            heads,
            scores,
            grid,
            id_rank=id_rank,
            reordered=lambda text, head, depth, weight: phrases.reordered(
                text, head.cut(depth), depth=depth, weight=weight
            ),
            reading_of=reranker.reading,
            progress=progress,
        )
    defaults = {
        "hybrid": (0, grid.default_fusion),
        "rerank": (grid.default_fusion, grid.default_rerank),
    }
    return Systems(
        tables,
        {"rerank": "hybrid"} if fused is not None else {},
        {name: defaults.get(name, (0, 0)) for name in tables},
    )
