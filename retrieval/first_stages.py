"""The first stages of an open index, opened by name."""

from collections.abc import Callable, Sequence

from scisearch.index.opened import OpenIndex
from scisearch.index.runtimes import Runtime
from scisearch.retrieval.bm25 import BM25Retriever, RankBM25Retriever
from scisearch.retrieval.ranking import Retriever


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
