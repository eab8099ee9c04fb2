"""The first stages of an open index, opened by name, and asked for their lists."""

from collections.abc import Callable, Mapping, Sequence

from scisearch.index.opened import OpenIndex
from scisearch.index.runtimes import Runtime
from scisearch.index.stopwatch import Stopwatch
from scisearch.retrieval.bm25 import BM25Retriever, RankBM25Retriever
from scisearch.retrieval.pools import within_pools
from scisearch.retrieval.ranking import Mask, Ordinals, Retriever, Scored


def open_first_stages(
    index: OpenIndex,
    names: Sequence[str],
    *,
    bm25_engine: str = "bm25s",
    encoder: str | None = None,
    device: str | None = None,
    offline: bool = False,
    runtime: Runtime = "auto",
    dense: Callable[[], Retriever] | None = None,
) -> dict[str, Retriever]:
    """Name -> retriever, of "bm25" and "dense", in this order.

    `dense` gives a dense retriever that is shared with others; None: one is opened.

    Raises:
        ModelError: the bi-encoder cannot be found, or has other weights than the one that built the
            index.
        ConfigError: dense is asked for, and the index has no vectors.
    """
    stages: dict[str, Retriever] = {}
    if "bm25" in names:
        engine = BM25Retriever if bm25_engine == "bm25s" else RankBM25Retriever
        stages["bm25"] = engine(index.lexical, index.analyzer, index.documents.id_rank)
    if "dense" in names and dense is not None:
        stages["dense"] = dense()
    elif "dense" in names:
        from scisearch.retrieval.dense import open_dense

        stages["dense"] = open_dense(
            index, encoder=encoder, device=device, offline=offline, runtime=runtime
        )
    return stages


def retrieve_lists(
    stages: Mapping[str, Retriever],
    texts: Sequence[str],
    *,
    depth: int,
    n_documents: int,
    allowed: Mask | None = None,
    pools: Sequence[Ordinals] | None = None,
    watch: Stopwatch | None = None,
) -> list[dict[str, Scored]]:
    """Each query's list of every stage by name, of at most `depth` documents.

    Args:
        stages: by name.
        texts: the queries.
        depth: of each list.
        n_documents: of the index; so deep is looked for the documents of a pool.
        allowed: the documents that are searched; None: all.
        pools: one for each query, the documents that it ranks; None: all.
        watch: told the stages' times.
    """
    asked = depth if pools is None else n_documents
    lists = {
        name: stage.retrieve(texts, depth=asked, allowed=allowed, watch=watch)
        for name, stage in stages.items()
    }
    if pools is not None:
        lists = {name: within_pools(found, pools, depth) for name, found in lists.items()}
    return [{name: lists[name][place] for name in lists} for place in range(len(texts))]
