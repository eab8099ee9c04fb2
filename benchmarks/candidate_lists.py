"""What a collection's queries get from the first stages, computed once.

Nothing here is fused or cut: settings are tried on these arrays by `reweighing.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.reweighing import Judged, judged_query
from scisearch.index.opened import OpenIndex
from scisearch.index.progress import Progress, stage_of
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.first_stages import open_first_stages, retrieve_lists
from scisearch.retrieval.fusion import VectorsOf
from scisearch.retrieval.pools import pool_ordinals
from scisearch.retrieval.ranking import Query, Scored

_BATCH = 32  # queries searched together, as a run does


@dataclass(frozen=True, slots=True, eq=False)
class QueryLists:
    """One query's list of each first stage by name, its judgements, and what its fusion asks."""

    query: Query
    legs: Mapping[str, Scored]
    judged: Judged
    vectors_of: VectorsOf | None = None


def retrieve_once(
    index: OpenIndex,
    collection: Collection,
    config: SearchConfig,
    *,
    depth: int,
    progress: Progress,
) -> list[QueryLists]:
    """The lists of all queries, `depth` documents each; dense ones where there are vectors.

    Raises:
        ModelError: the bi-encoder cannot be found.
    """
    names = ["bm25", "dense"] if index.has_vectors else ["bm25"]
    stages = open_first_stages(
        index,
        names,
        bm25_engine=config.bm25_engine,
        encoder=config.encoder,
        device=config.device,
        offline=config.offline,
        runtime=config.runtime,
    )
    documents, queries, pools = index.documents, collection.queries, collection.pools
    found: list[QueryLists] = []
    with stage_of(progress, "first stages", len(queries), unit="queries"):
        for begin in range(0, len(queries), _BATCH):
            part = queries[begin : begin + _BATCH]
            own = None
            if pools is not None:
                own = pool_ordinals(pools, [query.query_id for query in part], documents.ordinal)
            lists = retrieve_lists(
                stages,
                [query.text for query in part],
                depth=depth,
                n_documents=len(documents),
                pools=own,
            )
            for query, legs in zip(part, lists, strict=True):
                if not query.text.strip():  # nothing answers it, as in a search
                    legs = {name: of.cut(0) for name, of in legs.items()}
                judged = _judged(index, collection, query)
                found.append(QueryLists(query, legs, judged, index.vectors_of))
            progress.advance(len(part))
    return found


def _judged(index: OpenIndex, collection: Collection, query: Query) -> Judged:
    ignored = collection.protocol.ignored.get(query.query_id, frozenset())
    gains = collection.qrels[query.query_id]
    return judged_query(gains, index.documents.ordinal, ignored)
