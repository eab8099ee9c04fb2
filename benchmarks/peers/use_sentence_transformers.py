"""sentence-transformers as its documentation of retrieve and re-rank.

`encode` and `semantic_search`; with a cross-encoder, `CrossEncoder.rank` of the best of them.
"""

from collections.abc import Sequence

from scisearch.benchmarks.peers.protocol import PeerDocument, PeerJob, PeerSearch


def open_peer(documents: Sequence[PeerDocument], job: PeerJob) -> PeerSearch:
    """The vectors of the documents, and the models."""
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.util import semantic_search

    texts = [document.text for document in documents]
    bi_encoder = SentenceTransformer(str(job.encoder), device=job.device)
    cross_encoder = CrossEncoder(job.reranker, device=job.device) if job.reranker else None
    corpus = bi_encoder.encode(texts, convert_to_tensor=True, show_progress_bar=False)

    def search(query: str) -> list[tuple[str, float]]:
        vector = bi_encoder.encode(query, convert_to_tensor=True, show_progress_bar=False)
        depth = job.cutoff if cross_encoder is None else job.rerank_depth
        found = semantic_search(vector, corpus, top_k=depth)[0]
        rows = [int(hit["corpus_id"]) for hit in found]
        if cross_encoder is None:
            return [
                (documents[row].doc_id, hit["score"]) for row, hit in zip(rows, found, strict=True)
            ]
        ranks = cross_encoder.rank(
            query, [texts[row] for row in rows], top_k=job.cutoff, show_progress_bar=False
        )
        return [
            (documents[rows[int(rank["corpus_id"])]].doc_id, float(rank["score"])) for rank in ranks
        ]

    return search
