"""What a reader of one input format hands over: its columns, then its rows in bounded pieces.

The words shared by the readers (formats, parquet, text_rows) and by the corpus that checks rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

MAX_ROW_BYTES = 64 * 2**20  # one row of a text format; a longer line is no row but a wrong file
PIECE_BYTES = 16 * 2**20  # a batch is closed when its rows take this much


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be indexed, and why.

    `row` counts from 0: in Parquet the row in the file, in JSONL the lines that are not blank, in
    CSV the rows below the header. `line` counts the lines of a text file from 1, as editors do.
    """

    row: int
    doc_id: str | None
    reason: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class SourceField:
    """A column of the input. A `nested` one was a key of a JSON `metadata` object."""

    name: str
    type: pa.DataType
    nested: bool = False


@dataclass(frozen=True, slots=True)
class Roles:
    """Which fields of a source are the id, the title (if there is one) and the text."""

    doc_id: int
    title: int | None
    text: int

    def others(self, n_fields: int) -> list[int]:
        """The fields that are metadata, in the order of the input."""
        taken = {self.doc_id, self.title, self.text}
        return [i for i in range(n_fields) if i not in taken]


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows as the input has them: nothing is checked but that they could be read.

    `metadata` holds one array for each of `Roles.others`, all lists have the same length.
    """

    rows: Sequence[int]
    lines: Sequence[int | None]
    doc_ids: Sequence[object]
    titles: Sequence[object]
    texts: Sequence[object]
    metadata: Sequence[pa.Array]
    rejects: list[Reject] = field(default_factory=list)


class Source(Protocol):
    """One input file that is known to exist and to have rows."""

    @property
    def file(self) -> Path:
        """The file that is read."""
        ...

    @property
    def fields(self) -> Sequence[SourceField]:
        """Its columns, with the types their arrays will have in every batch."""
        ...

    @property
    def n_rows(self) -> int:
        """How many rows it has, those that cannot be read included."""
        ...

    def check(self, roles: Roles) -> None:
        """Refuse columns whose type cannot serve.

        Raises:
            CorpusError: an id that is a number with decimals, a text that is no text.
        """
        ...

    def batches(self, roles: Roles, *, batch_rows: int) -> Iterator[RawBatch]:
        """All rows in order, at most `batch_rows` at a time and fewer when they are large.

        Raises:
            CorpusError: the file breaks off or is damaged.
        """
        ...
