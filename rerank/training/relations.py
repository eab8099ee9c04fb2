"""Who is relevant to whom, from a file: a query, or a document as the query, and a doc_id.

Parquet or JSONL with `doc_id` and either `query` (a text) or `query_doc_id` (a document of the
index, whose title asks). Columns `licence` and `kind` (of query) are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scisearch.index.documents import Documents
from scisearch.index.errors import TrainingError
from scisearch.rerank.training.list_files import file_rows
from scisearch.retrieval.textfile import shown

_SHAPE = '{"query": "…" or "query_doc_id": "…", "doc_id": "…"}'


@dataclass(slots=True)
class RelatedQuery:
    """One query and the ordinals of the documents that are known to be relevant to it."""

    text: str
    asking: int | None  # the document that is the query, which must not answer itself
    licence: str | None
    positives: list[int] = field(default_factory=list)
    kind: str | None = None  # of query


@dataclass(frozen=True, slots=True)
class Relations:
    """The queries in the order of the file, and how many rows named a document not indexed."""

    queries: list[RelatedQuery]
    n_unknown: int


def read_relations(path: Path, documents: Documents) -> Relations:
    """The relations of a file whose documents are in the index.

    Raises:
        TrainingError: a row is no relation, or none is between a query and an indexed document.
        RankingError: the file cannot be read or is not UTF-8.
    """
    found: dict[tuple[str, str], RelatedQuery | None] = {}
    n_unknown = 0
    for where, row in file_rows(path):
        key = _key(where, row)
        ordinal = documents.ordinal(_value(where, row, "doc_id"))
        if key not in found:
            found[key] = _query(key, row, documents)
        query = found[key]
        if ordinal is None or query is None:
            n_unknown += 1
        elif ordinal != query.asking and ordinal not in query.positives:
            query.positives.append(ordinal)
    queries = [query for query in found.values() if query is not None and query.positives]
    if not queries:
        raise TrainingError(
            f"{path}: none of its {n_unknown} relations is between a query and a document of the"
            f" index, expected rows {_SHAPE} with ids as the index has them"
        )
    return Relations(queries, n_unknown)


def _key(where: str, row: Mapping[str, Any]) -> tuple[str, str]:
    for kind in ("query", "query_doc_id"):
        if row.get(kind) is not None:
            return kind, _value(where, row, kind)
    raise TrainingError(f"{where}: found the keys {', '.join(row) or 'none'}, expected {_SHAPE}")


def _query(
    key: tuple[str, str], row: Mapping[str, Any], documents: Documents
) -> RelatedQuery | None:
    """The query, or None where the document that asks is not indexed."""
    licence = row.get("licence") or row.get("license")
    kept = None if licence is None else str(licence)
    kind = None if row.get("kind") is None else str(row["kind"])
    asks_by, value = key
    if asks_by == "query":
        return RelatedQuery(value, None, kept, kind=kind)
    asking = documents.ordinal(value)
    if asking is None:
        return None
    document = documents.get(asking)
    return RelatedQuery(document.title.strip() or document.text, asking, kept, kind=kind)


def _value(where: str, row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # ids are written as numbers by many tools
    if not isinstance(value, str) or not value.strip():
        raise TrainingError(f"{where}: {key} is {shown(str(value))}, expected a text")
    return value
