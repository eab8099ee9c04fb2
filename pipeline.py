"""How a query flows: candidates from the first stages, fused, reranked, cut.

bm25  ─┐
├─ fuse ─ best `rerank_depth` ─ (phrases) ─ cross-encoder ─ interpolate ─ best `cutoff`
dense ─┘

Phrases are looked for where they have a weight.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from scisearch.index.opened import OpenIndex, open_index
from scisearch.index.stopwatch import Stopwatch
from scisearch.rerank.modes import chosen_mode, search_notes
from scisearch.rerank.search_config import Mode, SearchConfig
from scisearch.retrieval.encoder_fusion import fusion_of
from scisearch.retrieval.filters import FilterMasks
from scisearch.retrieval.first_stages import open_first_stages, retrieve_lists
from scisearch.retrieval.pools import Pools, pool_ordinals
from scisearch.retrieval.ranking import (
    Hit,
    Mask,
    Ordinals,
    Query,
    RankedList,
    Retriever,
    Scored,
    strictly_decreasing,
)
from scisearch.retrieval.results import Ranking, RerankEffort, SearchResult, search_hits

if TYPE_CHECKING:
    from scisearch.rerank.phrases import PhraseMatcher
    from scisearch.rerank.stage import RerankStage
    from scisearch.retrieval.dense import DenseRetriever

EMPTY_QUERY = "the query is empty"


class SearchPipeline:
    """An open index and the models that search it. Open once, search many times."""

    def __init__(
        self,
        index: OpenIndex,
        config: SearchConfig,
        *,
        dense: "Callable[[], DenseRetriever] | None" = None,
    ) -> None:
        """Take an open index; `open` does that from a folder.

        `dense` gives a dense retriever that several pipelines share; None: this one opens its own.
        """
        self.index = index
        self.config = config
        self._shared_dense = dense
        self.mode: Mode = chosen_mode(index, config)
        self._fusion = fusion_of(index, config.fusion)
        self._loaded = False

    @classmethod
    def open(cls, index: str | Path, config: SearchConfig | None = None) -> Self:
        """Open the live generation of an index folder.

        Raises:
            IndexFormatError: there is no index that this version can open.
            ConfigError: the mode needs a part that the index or the configuration has not.
            ModelError: a model that the mode needs cannot be found.
        """
        return cls(open_index(index), config or SearchConfig())

    # -- public ------------------------------------------------------------------------------

    def search(
        self, text: str, *, query_id: str = "q", filters: Sequence[str] = ()
    ) -> SearchResult:
        """Search one query. Any text is legal; `filters` are expressions such as "year>=2018".

        Raises:
            FilterError: a filter does not fit the index.
        """
        return self.search_many([Query(query_id, text)], filters=filters)[0]

    def search_many(
        self, queries: Sequence[Query], *, filters: Sequence[str] = ()
    ) -> list[SearchResult]:
        """Search several queries as one batch; the times of a result are those of the batch."""
        watch = Stopwatch()
        rankings = self._rank([query.text for query in queries], self._masks.of(filters), watch)
        with watch.stage("materialise"):
            hits = [
                search_hits(
                    self.index,
                    query.text,
                    ranking.stages,
                    cutoff=self.config.cutoff,
                    probabilities=ranking.probabilities,
                )
                for query, ranking in zip(queries, rankings, strict=True)
            ]
        milliseconds = watch.milliseconds()
        return [
            SearchResult(
                query_id=query.query_id,
                query=query.text,
                mode=self.mode,
                hits=found,
                milliseconds=milliseconds,
                notes=ranking.notes,
                effort=ranking.effort,
            )
            for query, ranking, found in zip(queries, rankings, hits, strict=True)
        ]

    def run(
        self,
        topics: Sequence[Query],
        *,
        filters: Sequence[str] = (),
        pools: Pools | None = None,
        watch: Stopwatch | None = None,
        probabilities: dict[str, dict[str, float]] | None = None,
        efforts: list[RerankEffort] | None = None,
    ) -> list[RankedList]:
        """One list per topic, in their order, of at most `cutoff` hits; searched as one batch.

        The last digits of a score depend on the batch, so equal batches give equal bytes; a budget
        of time takes that away. With `pools` each topic ranks the documents of its pool only. In
        `probabilities`, query_id -> doc_id -> probability of relevance is added for every document
        that a calibrated cross-encoder scored; what was reranked of each topic is added to
        `efforts`.
        """
        texts = [topic.text for topic in topics]
        own = None
        if pools is not None:
            ids = [topic.query_id for topic in topics]
            own = pool_ordinals(pools, ids, self.index.documents.ordinal)
        rankings = self._rank(texts, self._masks.of(filters), watch or Stopwatch(), own)
        if probabilities is not None:
            for topic, ranking in zip(topics, rankings, strict=True):
                doc_ids = self.index.documents.doc_ids(list(ranking.probabilities))
                chances = ranking.probabilities.values()
                probabilities[topic.query_id] = dict(zip(doc_ids, chances, strict=True))
        if efforts is not None:
            efforts += [one.effort for one in rankings if one.effort is not None]
        return [
            self._ranked_list(topic.query_id, ranking.final.cut(self.config.cutoff))
            for topic, ranking in zip(topics, rankings, strict=True)
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What every answer of this pipeline leaves out, unless it was asked to."""
        return search_notes(self.index, self.config, self.mode)

    @property
    def run_notes(self) -> tuple[str, ...]:
        """`notes`, and what is to be said of every reranked topic; loads the cross-encoder."""
        if self.mode != "rerank":
            return self.notes
        return (*self.notes, *self._reranker.notes(self.config.limits))

    def model_digests(self) -> dict[str, object]:
        """The sha256 of the weights that the mode uses and of their settings, and the runtimes."""
        from scisearch.retrieval.dense import DenseRetriever

        encoder = self.index.manifest.encoder
        digests: dict[str, object] = {"encoder": encoder and encoder["sha256"]}
        dense = self._legs.get("dense")
        if isinstance(dense, DenseRetriever):
            digests["encoder_runtime"] = dense.runtime_name
        if self.mode == "rerank":
            digests["reranker"] = self._reranker.sha256
            digests["reranker_settings"] = self._reranker.settings_sha256
            digests["reranker_runtime"] = self._reranker.runtime_name
            if self._reranker.small is not None:
                digests["small_reranker"] = self._reranker.small.sha256
                digests["small_reranker_settings"] = self._reranker.small.settings_sha256
        return digests

    @property
    def rerank_stage(self) -> "RerankStage":
        """The cross-encoder and its weight, loaded; mode rerank only."""
        return self._reranker

    def warm_up(self) -> None:
        """Load what the mode needs, so that the first query does not pay for it."""
        self.search("warm up")

    # -- stages ------------------------------------------------------------------------------

    @cached_property
    def _masks(self) -> FilterMasks:
        """Made when first used: opening a pipeline does not open the documents."""
        return FilterMasks(self.index.documents)

    @cached_property
    def _legs(self) -> dict[str, Retriever]:
        """The first stages of the mode, by name."""
        config = self.config
        dense = self.mode != "bm25" and self.index.has_vectors
        return open_first_stages(
            self.index,
            [*(["bm25"] if self.mode != "dense" else []), *(["dense"] if dense else [])],
            bm25_engine=config.bm25_engine,
            encoder=config.encoder,
            device=config.device,
            offline=config.offline,
            runtime=config.runtime,
            dense=self._shared_dense,
        )

    @cached_property
    def _reranker(self) -> "RerankStage":
        from scisearch.rerank.open_stage import open_rerank_stage

        return open_rerank_stage(self.index, self.config)

    @cached_property
    def _phrases(self) -> "PhraseMatcher":
        from scisearch.rerank.phrases import PhraseMatcher

        return PhraseMatcher(self.index)

    def _rank(
        self,
        texts: Sequence[str],
        allowed: Mask | None,
        watch: Stopwatch,
        pools: Sequence[Ordinals] | None = None,
    ) -> list[Ranking]:
        filled = [text for text in texts if text.strip()]
        own = pools and [pool for text, pool in zip(texts, pools, strict=True) if text.strip()]
        ranked = iter(self._rank_filled(filled, allowed, watch, own))
        nothing = Scored(np.empty(0, np.int64), np.empty(0, np.float32))
        return [
            next(ranked) if text.strip() else Ranking({self.mode: nothing}, (EMPTY_QUERY,))
            for text in texts
        ]

    def _rank_filled(
        self,
        texts: Sequence[str],
        allowed: Mask | None,
        watch: Stopwatch,
        pools: Sequence[Ordinals] | None,
    ) -> list[Ranking]:
        if not texts:
            return []
        self._load(watch)
        found = retrieve_lists(
            self._legs,
            texts,
            depth=self._depth(),
            n_documents=len(self.index.documents),
            allowed=allowed,
            pools=pools,
            watch=watch,
        )
        with watch.stage("fuse"):
            stages = [self._fused(legs) for legs in found]
        if self.mode != "rerank":
            return [Ranking(one, self.notes) for one in stages]
        if self.config.phrase_weight:
            with watch.stage("phrases"):
                stages = [
                    self._with_phrases(text, one, allowed)
                    for text, one in zip(texts, stages, strict=True)
                ]
        candidates = [list(one.values())[-1] for one in stages]
        reranked = self._reranker.rerank(
            texts,
            candidates,
            depth=self.config.rerank_depth,
            limits=self.config.limits,
            top=self.config.auto_top,
            min_probability=self.config.min_probability,
            watch=watch,
        )
        return [
            Ranking(
                {**one, **outcome.stages},
                (*self.notes, *outcome.notes),
                outcome.probabilities,
                outcome.effort,
            )
            for one, outcome in zip(stages, reranked, strict=True)
        ]

    def _load(self, watch: Stopwatch) -> None:
        """Open what the mode needs, once, and time it apart from the first query's stages."""
        if self._loaded:
            return
        with watch.stage("load"):
            _ = self._legs
            if self.mode == "rerank":
                _ = self._reranker
        self._loaded = True

    def _depth(self) -> int:
        """A single list is asked for all hits that shall come out; fused lists for `depth`."""
        config = self.config
        return max(config.depth, config.cutoff) if len(self._legs) == 1 else config.depth

    def _fused(self, legs: Mapping[str, Scored]) -> dict[str, Scored]:
        if len(legs) == 1:
            return dict(legs)
        id_rank, vectors_of = self.index.documents.id_rank, self.index.vectors_of
        return {**legs, "fused": self._fusion.fuse(legs, id_rank, vectors_of)}

    def _with_phrases(
        self, text: str, stages: dict[str, Scored], allowed: Mask | None
    ) -> dict[str, Scored]:
        """The stages and the list by phrases, unless it is the last one as it was."""
        fused = list(stages.values())[-1]
        depth, weight = self.config.rerank_depth, self.config.phrase_weight
        found = self._phrases.reordered(text, fused, depth=depth, weight=weight, allowed=allowed)
        return stages if found is fused else {**stages, "phrases": found}

    # -- borders -----------------------------------------------------------------------------

    def _ranked_list(self, query_id: str, final: Scored) -> RankedList:
        doc_ids = self.index.documents.doc_ids(final.ordinals)
        scores = strictly_decreasing(final.scores).tolist()
        return RankedList(query_id, tuple(map(Hit, doc_ids, scores)))
