"""txtai as its documentation of hybrid search: one `Embeddings` with `hybrid=True`."""

from collections.abc import Sequence

from scisearch.benchmarks.peers.protocol import PeerDocument, PeerJob, PeerSearch


def open_peer(documents: Sequence[PeerDocument], job: PeerJob) -> PeerSearch:
    """The index of the documents."""
    from txtai import Embeddings  # pyright: ignore[reportMissingImports]

    device = {} if job.device is None else {"gpu": job.device}
    embeddings = Embeddings(path=job.encoder, hybrid=True, **device)
    # Rows as ids: text ids of one collection may look like numbers.
    embeddings.index([(row, document.text, None) for row, document in enumerate(documents)])

    def search(query: str) -> list[tuple[str, float]]:
        found = embeddings.search(query, job.cutoff)
        return [(documents[row].doc_id, score) for row, score in found]

    return search
