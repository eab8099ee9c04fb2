"""LanceDB as its documentation of hybrid search: an embedding function, a full-text index.

The two lists are merged by its default, reciprocal ranks, or by its `CrossEncoderReranker`.
"""

from collections.abc import Sequence
from typing import Any

from scisearch.benchmarks.peers.protocol import PeerDocument, PeerJob, PeerSearch


def open_peer(documents: Sequence[PeerDocument], job: PeerJob) -> PeerSearch:
    """A table of the documents with their vectors and its full-text index."""
    table = _table(documents, job)
    reranker = _reranker(job)
    depth = job.rerank_depth if job.reranker else job.cutoff

    def search(query: str) -> list[tuple[str, float]]:
        found = table.search(query, query_type="hybrid").rerank(reranker=reranker).limit(depth)
        return [(documents[hit["row"]].doc_id, hit["_relevance_score"]) for hit in found.to_list()][
            : job.cutoff
        ]

    return search


def _table(documents: Sequence[PeerDocument], job: PeerJob) -> Any:
    import lancedb  # pyright: ignore[reportMissingImports]
    from lancedb.embeddings import get_registry  # pyright: ignore[reportMissingImports]
    from lancedb.index import FTS  # pyright: ignore[reportMissingImports]
    from lancedb.pydantic import LanceModel, Vector  # pyright: ignore[reportMissingImports]

    # a folder that somebody named is no reason to run code from it
    embedder = (
        get_registry()
        .get("sentence-transformers")
        .create(name=job.encoder, device=_device(job), trust_remote_code=False)
    )

    class Document(LanceModel):  # type: ignore[misc]
        row: int
        text: str = embedder.SourceField()
        vector: Vector(embedder.ndims()) = embedder.VectorField()  # type: ignore[valid-type]

    table = lancedb.connect(job.folder).create_table("documents", schema=Document)
    table.add([{"row": row, "text": document.text} for row, document in enumerate(documents)])
    table.create_index("text", config=FTS())
    return table


def _reranker(job: PeerJob) -> Any:
    from lancedb.rerankers import CrossEncoderReranker, RRFReranker  # pyright: ignore[reportMissingImports]

    if job.reranker is None:
        return RRFReranker()
    return CrossEncoderReranker(
        model_name=job.reranker, device=_device(job), trust_remote_code=False
    )


def _device(job: PeerJob) -> str:
    if job.device is not None:
        return job.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
