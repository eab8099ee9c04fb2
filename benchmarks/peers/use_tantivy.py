"""tantivy-py as its tutorial: title and body, its English stemmer, its query parser.

The lenient parser: what people ask has quotes and colons that the strict one refuses.
"""

from collections.abc import Sequence

from scisearch.benchmarks.peers.protocol import PeerDocument, PeerJob, PeerSearch


def open_peer(documents: Sequence[PeerDocument], job: PeerJob) -> PeerSearch:
    """The index of the documents, on disk."""
    import tantivy  # pyright: ignore[reportMissingImports]

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", stored=True)
    for field in ("title", "body"):
        builder.add_text_field(field, stored=True, tokenizer_name="en_stem")
    index = tantivy.Index(builder.build(), path=job.folder)
    with index.writer() as writer:
        for row, document in enumerate(documents):
            writer.add_document(
                tantivy.Document(row=row, title=[document.title], body=[document.body])
            )
    index.reload()
    searcher = index.searcher()

    def search(query: str) -> list[tuple[str, float]]:
        parsed, _ = index.parse_query_lenient(query, ["title", "body"])
        return [
            (documents[searcher.doc(address)["row"][0]].doc_id, score)
            for score, address in searcher.search(parsed, job.cutoff).hits
        ]

    return search
