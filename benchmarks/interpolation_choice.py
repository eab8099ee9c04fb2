"""How much the cross-encoder counts against the first stages: what ranks dev collections best.

Every candidate is scored once; each weight and normalisation then only weighs the scores anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.candidate_lists import retrieve_once
from scisearch.benchmarks.candidate_scores import score_once
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.gate import MEASURE, CollectionIndexes
from scisearch.benchmarks.reweighing import (
    INTERPOLATIONS,
    fused_list,
    interpolated_row,
    judged_query,
)
from scisearch.benchmarks.scoring import evaluate
from scisearch.index.errors import ConfigError
from scisearch.index.opened import open_index
from scisearch.rerank.interpolation import Interpolation, Normalisation, Reading, with_rest
from scisearch.rerank.open_stage import open_rerank_stage
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.encoder_fusion import fusion_of
from scisearch.retrieval.ranking import Hit, IdRank, RankedList, Scored, strictly_decreasing


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCandidates:
    """One query's candidates in fused order, and what both sides say; arrays are (n,) float32.

    `reading` is what the weight of a query may depend on.
    """

    query_id: str
    doc_ids: tuple[str, ...]
    fused: NDArray[np.float32]
    logits: NDArray[np.float32]
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True, slots=True)
class InterpolationChoice:
    """The best setting, and the mean nDCG@10 of each one over the collections, all alike."""

    chosen: Interpolation
    means: Mapping[Interpolation, float]
    collections: Mapping[str, int]  # name -> queries

    @property
    def unused(self) -> float:
        """nDCG@10 of the fused list alone."""
        return self.mean(0.0, "logit")

    def mean(self, weight: float, normalisation: Normalisation) -> float:
        """nDCG@10 with this weight, and what it depends on that of the others."""
        return self.means[replace(self.chosen, weight=weight, normalisation=normalisation)]

    def to_json(self) -> dict[str, object]:
        """The choice as JSON values."""
        return {
            "chosen": asdict(self.chosen),
            "collections": dict(self.collections),
            "grid": [{**asdict(one), MEASURE: mean} for one, mean in self.means.items()],
        }


def choose_interpolation(
    scored: Sequence[tuple[Collection, Sequence[ScoredCandidates]]],
    like: Interpolation | None = None,
) -> InterpolationChoice:
    """The setting with the highest mean over collections; of equal ones that of lower weight.

    The weights of all that are tried depend on the same as that of `like`.

    Raises:
        ConfigError: there is no collection.
        RankingError: candidates do not meet their judgements.
    """
    if not scored:
        raise ConfigError("found no dev collection, expected at least one to choose the weight on")
    like = like or Interpolation()
    tried = [
        replace(like, weight=setting.weight, normalisation=setting.normalisation)
        for setting in INTERPOLATIONS
    ]
    rows = np.array([_means(collection, candidates, tried) for collection, candidates in scored])
    means = {setting: fmean(rows[:, i]) for i, setting in enumerate(tried)}
    chosen = max(tried, key=lambda setting: (means[setting], -setting.weight))
    sizes = {collection.name: len(candidates) for collection, candidates in scored}
    return InterpolationChoice(chosen, means, sizes)


def score_candidates(
    collection: Collection, config: SearchConfig, indexes: CollectionIndexes
) -> list[ScoredCandidates]:
    """The fused candidates of every query of a collection, with the cross-encoder's logits.

    `config` names the reranker; its mode is `rerank`.

    Raises:
        ScisearchError: the index cannot be built or searched.
    """
    index, progress = open_index(indexes.index(collection, config)), indexes.progress
    documents, fusion = index.documents, fusion_of(index, config.fusion)
    lists = retrieve_once(index, collection, config, depth=config.depth, progress=progress)
    heads = [
        fused_list(one.legs, fusion, config.depth, documents.id_rank, one.vectors_of)
        for one in lists
    ]
    heads = [head.cut(config.rerank_depth) for head in heads]
    work = [(one.query, head.ordinals) for one, head in zip(lists, heads, strict=True)]
    stage = open_rerank_stage(index, config)
    scored = score_once(stage, work, progress=progress)
    return [
        ScoredCandidates(
            query.query_id,
            tuple(documents.doc_ids(ordinals)),
            head.scores,
            logits,
            stage.reading(ordinals),
        )
        for head, (query, ordinals, logits) in zip(heads, scored, strict=True)
    ]


def _means(
    collection: Collection,
    candidates: Sequence[ScoredCandidates],
    settings: Sequence[Interpolation],
) -> NDArray[np.float64]:
    """Mean nDCG@10 of each setting over the collection's answerable queries, (n_settings,)."""
    fused = {one.query_id: _as_given(one) for one in candidates}
    n_queries = evaluate(fused, collection.qrels, (MEASURE,), name=collection.name).n_queries
    rows = [
        _row(collection, one, settings) for one in candidates if one.query_id in collection.qrels
    ]
    means: NDArray[np.float64] = np.sum(rows, axis=0) / n_queries
    return means


def reranked(
    one: ScoredCandidates, setting: Interpolation, scored: int | None = None
) -> RankedList:
    """The query's list with this setting, as a search would give it that scored so many, or all."""
    head, id_rank = _numbered(one)
    setting = setting.for_query(one.reading)
    final = setting.interpolate_first(head, one.logits[:scored], id_rank)
    final = with_rest(final, head, len(final))
    return _listed(one, [one.doc_ids[i] for i in final.ordinals.tolist()], final.scores)


def _row(
    collection: Collection, one: ScoredCandidates, settings: Sequence[Interpolation]
) -> NDArray[np.float64]:
    """The query's nDCG@10 with each setting."""
    head, id_rank = _numbered(one)
    places = {doc_id: place for place, doc_id in enumerate(one.doc_ids)}
    judged = judged_query(
        collection.qrels[one.query_id],
        places.get,
        collection.protocol.ignored.get(one.query_id, ()),
    )
    own = [setting.for_query(one.reading) for setting in settings]
    return interpolated_row(head, one.logits, own, id_rank, judged)


def _numbered(one: ScoredCandidates) -> tuple[Scored, IdRank]:
    """The candidates, numbered in fused order, and the rank of each one's doc_id."""
    order = sorted(range(len(one.doc_ids)), key=one.doc_ids.__getitem__)
    id_rank = np.empty(len(order), np.int32)
    id_rank[order] = np.arange(len(order), dtype=np.int32)
    return Scored(np.arange(len(order), dtype=np.int64), one.fused), id_rank


def _as_given(one: ScoredCandidates) -> RankedList:
    return _listed(one, one.doc_ids, one.fused)


def _listed(
    one: ScoredCandidates, doc_ids: Iterable[str], scores: NDArray[np.floating]
) -> RankedList:
    hits = map(Hit, doc_ids, strictly_decreasing(scores).tolist())
    return RankedList(one.query_id, tuple(hits))
