"""From the corpus file to the document store, and a list of the rows that were left out."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from scisearch.index.corpus import Corpus, Reject
from scisearch.index.documents import DocumentWriter
from scisearch.index.errors import CorpusError
from scisearch.index.progress import Progress, stage_of


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """How many rows became documents and how many were rejected."""

    n_documents: int
    n_rejected: int


def ingest(corpus: Corpus, documents: Path, rejects: Path, progress: Progress) -> IngestCounts:
    """Write every good row into the store `documents` and every bad one into `rejects` (JSONL)."""
    kept = rejected = 0
    with (
        stage_of(progress, "read", corpus.n_rows),
        DocumentWriter(documents, corpus.schema) as writer,
        rejects.open("w", encoding="utf-8") as stream,
    ):
        for batch in corpus.batches():
            writer.write(batch.rows)
            stream.writelines(_reject_line(reject) for reject in batch.rejects)
            kept += batch.rows.num_rows
            rejected += len(batch.rejects)
            progress.advance(batch.rows.num_rows + len(batch.rejects))
    return IngestCounts(kept, rejected)


def check_ingest(corpus: Path, counts: IngestCounts, rejects: Path, *, skip_bad_rows: bool) -> None:
    """Refuse a corpus without documents, or with bad rows unless they may be skipped.

    Raises:
        CorpusError: with the first bad row and where all of them are listed.
    """
    if counts.n_rejected and not skip_bad_rows:
        with rejects.open(encoding="utf-8") as stream:
            first: Mapping[str, object] = json.loads(stream.readline())
        raise CorpusError(
            f"{corpus}: {counts.n_rejected} of {counts.n_documents + counts.n_rejected} rows"
            f" cannot be indexed (row {first['row']}: {first['reason']}; all in {rejects});"
            " mend them or leave them out with --skip-bad-rows"
        )
    if not counts.n_documents:
        raise CorpusError(f"{corpus}: no row can be indexed; expected at least one")


def _reject_line(reject: Reject) -> str:
    return json.dumps(asdict(reject), ensure_ascii=False) + "\n"
