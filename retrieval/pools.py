"""Pools: for some tasks each query ranks documents of its own, and nothing else.

Unlike a filter, a pool changes no statistics: a document of a pool has the score that it has among
all documents of the index.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scisearch.retrieval.ranking import Ordinals, Scored

Pools = Mapping[str, frozenset[str]]  # query_id -> doc_ids


def pool_ordinals(
    pools: Pools, query_ids: Sequence[str], ordinal: Callable[[str], int | None]
) -> list[Ordinals]:
    """Each query's pool as ordinals; ids that are not in the index are left out.

    A query without a pool has an empty one.
    """
    return [
        np.array([o for doc_id in pools.get(q, ()) if (o := ordinal(doc_id)) is not None], np.int64)
        for q in query_ids
    ]


def within_pools(lists: Sequence[Scored], pools: Sequence[Ordinals], depth: int) -> list[Scored]:
    """Of each query's list the best `depth` that are in its pool, in their order."""
    found = []
    for one, pool in zip(lists, pools, strict=True):
        kept = np.isin(one.ordinals, pool)
        found.append(Scored(one.ordinals[kept], one.scores[kept]).cut(depth))
    return found
