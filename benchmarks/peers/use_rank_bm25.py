"""rank-bm25: BM25Okapi over words.

Its README splits at blanks and leaves anything more to the caller, lower case first of all: so do
we. A query scores every document.
"""

from collections.abc import Sequence

from scisearch.benchmarks.peers.protocol import PeerDocument, PeerJob, PeerSearch


def open_peer(documents: Sequence[PeerDocument], job: PeerJob) -> PeerSearch:
    """The index of the documents."""
    import numpy as np
    from rank_bm25 import BM25Okapi

    bm25 = BM25Okapi([_words(document.text) for document in documents])

    def search(query: str) -> list[tuple[str, float]]:
        scores = bm25.get_scores(_words(query))
        # what get_top_n does, which gives the documents without their scores
        best = np.argsort(scores)[::-1][: job.cutoff]
        return [(documents[row].doc_id, float(scores[row])) for row in best]

    return search


def _words(text: str) -> list[str]:
    return text.lower().split()
