"""bm25s as its README starts: its own tokeniser with English stop words and a Snowball stemmer."""

from collections.abc import Sequence

from scisearch.benchmarks.peers.protocol import PeerDocument, PeerJob, PeerSearch


def open_peer(documents: Sequence[PeerDocument], job: PeerJob) -> PeerSearch:
    """The index of the documents."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    texts = [document.text for document in documents]
    retriever = bm25s.BM25()
    retriever.index(
        bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False),
        show_progress=False,
    )
    depth = min(job.cutoff, len(documents))  # it refuses to give more than there are

    def search(query: str) -> list[tuple[str, float]]:
        tokens = bm25s.tokenize(query, stemmer=stemmer, show_progress=False)
        rows, scores = retriever.retrieve(tokens, k=depth, show_progress=False)
        return [
            (documents[row].doc_id, float(score))
            for row, score in zip(rows[0], scores[0], strict=True)
        ]

    return search
