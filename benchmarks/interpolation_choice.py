"""How much the cross-encoder counts against the first stages: what ranks dev collections best.

Every candidate is scored once; each weight and normalisation then only weighs the scores anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.gate import MEASURE, CollectionIndexes
from scisearch.benchmarks.scoring import evaluate
from scisearch.index.errors import ConfigError
from scisearch.index.progress import stage_of
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.interpolation import NORMALISATIONS, Interpolation
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.ranking import Hit, RankedList, Run, Scored, strictly_decreasing
from scisearch.retrieval.results import SearchResult

WEIGHTS = tuple(round(0.05 * step, 2) for step in range(21))
GRID = tuple(Interpolation(weight, name) for name in NORMALISATIONS for weight in WEIGHTS)
_BATCH = 32  # queries searched together


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """One query's candidates in fused order, and what both sides say; arrays are (n,) float32."""

    query_id: str
    doc_ids: tuple[str, ...]
    fused: NDArray[np.float32]
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class InterpolationChoice:
    """The best setting, and the mean nDCG@10 of each one over the collections, all alike."""

    chosen: Interpolation
    means: Mapping[Interpolation, float]
    collections: Mapping[str, int]  # name -> queries

    @property
    def unused(self) -> float:
        """nDCG@10 of the fused list alone."""
        return self.means[Interpolation(0.0)]

    def to_json(self) -> dict[str, object]:
        """The choice as JSON values."""
        return {
            "chosen": asdict(self.chosen),
            "collections": dict(self.collections),
            "grid": [{**asdict(one), MEASURE: mean} for one, mean in self.means.items()],
        }


def choose_interpolation(
    scored: Sequence[tuple[Collection, Sequence[Candidates]]],
) -> InterpolationChoice:
    """The setting with the highest mean over collections; of equal ones that of lower weight.

    Raises:
        ConfigError: there is no collection.
        RankingError: candidates do not meet their judgements.
    """
    if not scored:
        raise ConfigError("found no dev collection, expected at least one to choose the weight on")
    means = {
        setting: fmean(
            evaluate(_run(candidates, setting), collection.qrels, (MEASURE,)).mean[MEASURE]
            for collection, candidates in scored
        )
        for setting in GRID
    }
    chosen = max(GRID, key=lambda setting: (means[setting], -setting.weight))
    sizes = {collection.name: len(candidates) for collection, candidates in scored}
    return InterpolationChoice(chosen, means, sizes)


def score_candidates(
    collection: Collection, config: SearchConfig, indexes: CollectionIndexes
) -> list[Candidates]:
    """The fused candidates of every query of a collection, with the cross-encoder's logits.

    `config` names the reranker; its mode is `rerank`.

    Raises:
        ScisearchError: the index cannot be built or searched.
    """
    pipeline = SearchPipeline.open(indexes.index(collection, config), config)
    found: list[Candidates] = []
    queries = collection.queries
    with stage_of(indexes.progress, collection.name, len(queries), unit="topics"):
        for begin in range(0, len(queries), _BATCH):
            results = pipeline.search_many(queries[begin : begin + _BATCH])
            found += [_candidates(result) for result in results]
            indexes.progress.advance(len(results))
    return found


def _candidates(result: SearchResult) -> Candidates:
    """What the stages gave the reranked documents."""
    hits = [hit for hit in result.hits if "cross-encoder" in hit.stages]
    hits.sort(key=lambda hit: hit.stages["fused"].rank)
    return Candidates(
        result.query_id,
        tuple(hit.document.doc_id for hit in hits),
        np.array([hit.stages["fused"].score for hit in hits], np.float32),
        np.array([hit.stages["cross-encoder"].score for hit in hits], np.float32),
    )


def _run(candidates: Sequence[Candidates], setting: Interpolation) -> Run:
    return {one.query_id: reranked(one, setting) for one in candidates}


def reranked(one: Candidates, setting: Interpolation, scored: int | None = None) -> RankedList:
    """The query's list with this setting, as a search would give it; of the first `scored` only."""
    order = sorted(range(len(one.doc_ids)), key=one.doc_ids.__getitem__)
    id_rank = np.empty(len(order), np.int32)
    id_rank[order] = np.arange(len(order), dtype=np.int32)
    head = Scored(np.arange(len(order), dtype=np.int64), one.fused)
    final = setting.interpolate_first(head, one.logits[:scored], id_rank)
    doc_ids = [one.doc_ids[place] for place in final.ordinals.tolist()]
    scores = strictly_decreasing(final.scores).tolist()
    return RankedList(one.query_id, tuple(map(Hit, doc_ids, scores)))
