"""The corpus a person gives: its columns found, its rows checked, in bounded memory.

Knows which rows can be indexed and which cannot. Does not know formats (formats.py finds the
reader) nor what becomes of the rows. The one thing that grows with the corpus is the set of the
ids seen, for duplicates: about 100 bytes for an id of 10 characters, 100 MB for a million.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from scisearch.index.errors import CorpusError
from scisearch.index.formats import open_source
from scisearch.index.rows import RawBatch, Reject, Roles, Source, SourceField

__all__ = ["ColumnNames", "Corpus", "CorpusBatch", "Reject", "open_corpus"]

# Lower case, letters and digits only. An earlier group wins over a later one; two columns of one
# group are a question for the user.
_USUAL_NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "id": (
        ("docid",),
        ("id", "docno", "documentid", "pid", "paperid", "corpusid", "passageid", "articleid"),
        ("pmid", "arxivid", "doi", "eid"),
    ),
    "title": (("title",), ("papertitle", "articletitle", "documenttitle", "doctitle")),
    "text": (("text",), ("abstract", "contents", "content", "body", "fulltext", "passage")),
}
_SHOWN_COLUMNS = 30
_RESERVED = ("doc_id", "title", "text")
_UNFIT_FOR_TREC = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """Which input columns to use; None finds one by its usual names, case ignored."""

    doc_id: str | None = None
    title: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class CorpusBatch:
    """Rows that can be indexed, with the schema of the corpus, and the rows that cannot."""

    rows: pa.RecordBatch
    rejects: list[Reject]


class _BadRowError(Exception):
    """Why one row cannot be indexed; its doc_id where that much is known."""

    def __init__(self, reason: str, doc_id: str | None = None) -> None:
        super().__init__(reason)
        self.doc_id = doc_id


class Corpus:
    """An input whose columns are known; open one with `open_corpus`."""

    def __init__(self, source: Source, roles: Roles, *, batch_rows: int) -> None:
        """Name the columns of the index: doc_id, title, text, then the others as they are called.

        A metadata column whose name is taken gets `_2` (or the next free number) behind it.
        """
        self._source = source
        self._roles = roles
        self._batch_rows = batch_rows
        self._others = [source.fields[i] for i in roles.others(len(source.fields))]
        names = _free_names([field.name for field in self._others])
        self.schema = pa.schema(
            [(name, pa.string()) for name in _RESERVED]
            + [(name, field.type) for name, field in zip(names, self._others, strict=True)]
        )

    @property
    def path(self) -> Path:
        """The file that is read; for a folder, the corpus file in it."""
        return self._source.file

    @property
    def n_rows(self) -> int | None:
        """Rows in the input, those that cannot be indexed included."""
        return self._source.n_rows

    def digest(self) -> str:
        """sha256, hex, of the input's bytes and of which columns are id, title and text."""
        with self.path.open("rb") as handle:
            total = hashlib.file_digest(handle, "sha256")
        roles = (self._roles.doc_id, self._roles.title, self._roles.text)
        chosen = [None if i is None else self._source.fields[i].name for i in roles]
        total.update(json.dumps(chosen).encode())
        return total.hexdigest()

    def batches(self) -> Iterator[CorpusBatch]:
        """The rows in the order of the input; each call reads from the start.

        A row is rejected when its id is missing, holds white space or control characters, or
        stood in an earlier row, when it has neither title nor text, or when it cannot be read.
        NUL characters in titles and texts become spaces.

        Raises:
            CorpusError: the file is damaged.
        """
        seen: set[str] = set()
        for raw in self._source.batches(self._roles, batch_rows=self._batch_rows):
            yield self._checked(raw, seen)

    def _checked(self, raw: RawBatch, seen: set[str]) -> CorpusBatch:
        kept: list[int] = []
        rows: list[tuple[str, str, str]] = []
        rejects = list(raw.rejects)
        for i, values in enumerate(zip(raw.doc_ids, raw.titles, raw.texts, strict=True)):
            try:
                rows.append(_checked_row(*values, seen))
                kept.append(i)
            except _BadRowError as bad:
                rejects.append(Reject(raw.rows[i], bad.doc_id, str(bad), raw.lines[i]))
        columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(3)]
        metadata = list(raw.metadata)
        if len(kept) < len(raw.rows):
            metadata = [array.take(pa.array(kept, pa.int64())) for array in metadata]
        batch = pa.RecordBatch.from_arrays(columns + metadata, schema=self.schema)
        return CorpusBatch(batch, sorted(rejects, key=lambda reject: reject.row))


def open_corpus(path: Path, columns: ColumnNames | None = None, batch_rows: int = 1024) -> Corpus:
    """The corpus at `path`, its columns found; text formats are gone through once for this.

    Raises:
        CorpusError: nothing there, an unknown or damaged format, no rows, no id or text column,
            or more than one that could be it.
    """
    columns = columns or ColumnNames()
    source = open_source(path)
    doc_id = _find(source, "id", columns.doc_id)
    title = _find(source, "title", columns.title, required=False)
    text = _find(source, "text", columns.text)
    if doc_id is None or text is None or len({doc_id, title, text}) < 3:
        raise CorpusError(
            f"{source.file}: the id, title and text must be three columns, got"
            f" {_shown([source.fields[i] for i in (doc_id, title, text) if i is not None])}"
        )
    roles = Roles(doc_id, title, text)
    source.check(roles)
    return Corpus(source, roles, batch_rows=batch_rows)


def _find(source: Source, role: str, named: str | None, *, required: bool = True) -> int | None:
    """The position of the column for `role`; None only when it is not required and not there."""
    top = [(i, field.name) for i, field in enumerate(source.fields) if not field.nested]
    if named is not None:
        groups = [[i for i, name in top if name == named]]
        groups.append([i for i, name in top if name.lower() == named.lower()])
    else:
        canonical = "doc_id" if role == "id" else role
        groups = [[i for i, name in top if name == canonical]]
        groups += [[i for i, name in top if _bare(name) in usual] for usual in _USUAL_NAMES[role]]
    found: list[int] = next((group for group in groups if group), [])
    if len(found) == 1:
        return found[0]
    if not found and named is None and not required:
        return None
    usual = [name for group in _USUAL_NAMES[role] for name in group]
    wanted = f"'{named}'" if named else f"one called {', '.join(usual[:6])} or the like"
    if found:
        raise CorpusError(
            f"{source.file}: {_shown([source.fields[i] for i in found])} could each be the {role}"
            f" column; name one with --{role}-column"
        )
    raise CorpusError(
        f"{source.file}: no {role} column: found {_shown([source.fields[i] for i, _ in top])},"
        f" expected {wanted}; name it with --{role}-column"
    )


def _bare(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _shown(fields: Sequence[SourceField]) -> str:
    names = [repr(field.name) for field in fields[:_SHOWN_COLUMNS]]
    more = len(fields) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _free_names(names: Sequence[str]) -> list[str]:
    taken = {*_RESERVED}
    given = {*names}
    out: list[str] = []
    for name in names:
        free, number = name, 1
        while free in taken or (number > 1 and free in given):
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        out.append(free)
    return out


def _checked_row(
    raw_id: object, raw_title: object, raw_text: object, seen: set[str]
) -> tuple[str, str, str]:
    doc_id = _doc_id(raw_id)
    title = _text(raw_title, "title", doc_id)
    text = _text(raw_text, "text", doc_id)
    if not title.strip() and not text.strip():
        raise _BadRowError("neither a title nor a text", doc_id)
    if doc_id in seen:
        raise _BadRowError("duplicate id: an earlier row has it", doc_id)
    seen.add(doc_id)
    return doc_id, title, text


def _doc_id(value: object) -> str:
    if isinstance(value, bytes):
        value = _decoded(value, "id", None)
    if value is None or value == "":
        raise _BadRowError("no id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        kind = type(value).__name__
        raise _BadRowError(f"id {value!r} is a {kind}, expected text or a whole number")
    if _UNFIT_FOR_TREC.search(value):
        raise _BadRowError("id holds white space or a control character", value)
    return value


def _text(value: object, role: str, doc_id: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = _decoded(value, role, doc_id)
    if not isinstance(value, str):
        raise _BadRowError(f"{role} is a {type(value).__name__}, expected text", doc_id)
    return value.replace("\x00", " ")


def _decoded(value: bytes, role: str, doc_id: str | None) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _BadRowError(f"{role} is not UTF-8 at byte {error.start}", doc_id) from error
