"""The documents of one index: `documents.arrow` (Arrow IPC file) and `doc_id_order.npy` beside it.

Both are memory-mapped: opening reads the footer and one small header per record batch, a document
costs the pages it lies on. Nothing here is ever changed after it is written, so readers in several
threads need no lock.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from scisearch.index.errors import CorruptIndexError

ORDER_FILE = "doc_id_order.npy"
BATCH_ROWS = 32_768  # large batches, since opening costs about 0.1 ms for each
BATCH_BYTES = 32 * 2**20
TEXT_COLUMNS = ("doc_id", "title", "text")  # the first three of every schema, all strings


@dataclass(frozen=True, slots=True)
class Document:
    """One document; `metadata` has a Python value, or None, for every other column."""

    doc_id: str
    title: str
    text: str
    metadata: Mapping[str, object]


def full_text(title: str, text: str, title_weight: int = 1) -> str:
    """What a stage sees of a document: the title, a space, the text, without outer space.

    The title stands there `title_weight` times: more than once for BM25 alone.
    """
    return (f"{title} " * title_weight + text).strip()


class DocumentWriter:
    """Writes documents in the order of their ordinals; a context manager.

    A record batch is closed at BATCH_ROWS rows or about BATCH_BYTES, so that the 32-bit offsets
    of strings suffice for any corpus. After an exception in the body the file is incomplete.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Start an empty file; `schema` begins with doc_id, title, text, all strings."""
        self._path = path
        self._schema = schema
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, schema)
        self._pending: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; after an exception without finishing the file."""
        if kind is None:
            self.close()
        else:
            self._sink.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows; their ordinals follow those written before."""
        for piece in _pieces(batch):
            self._pending.append(piece)
            self._rows += piece.num_rows
            self._bytes += piece.nbytes
            if self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
                self._flush()

    def close(self) -> None:
        """Finish the file and write the order of the doc_ids beside it. Safe to call twice."""
        from pyarrow.compute import call_function

        if self._sink.closed:
            return
        self._flush()
        self._writer.close()
        self._sink.close()
        _, batches = _mapped(self._path)
        doc_ids = pa.chunked_array([batch.column(0) for batch in batches], type=pa.string())
        # Arrow sorts strings by their UTF-8 bytes, which is the order of Python's str
        order = call_function("sort_indices", [doc_ids]).to_numpy().astype(np.int64)
        np.save(self._path.with_name(ORDER_FILE), order)

    def _flush(self) -> None:
        if self._rows:
            whole = pa.Table.from_batches(self._pending, self._schema).combine_chunks()
            self._writer.write_table(whole)
        self._pending, self._rows, self._bytes = [], 0, 0


class Documents:
    """The documents of an open index, by ordinal."""

    def __init__(
        self, batches: Sequence[pa.RecordBatch], schema: pa.Schema, order: NDArray[np.int64]
    ) -> None:
        """Use `Documents.open`."""
        self.schema = schema
        self._columns = [batch.columns for batch in batches]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in batches)], dtype=np.int64)
        self._order = order

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map the documents at `path`, a `documents.arrow`.

        Raises:
            CorruptIndexError: it or its order file is missing, cut off, or of another size.
        """
        order_path = path.with_name(ORDER_FILE)
        try:
            schema, batches = _mapped(path)
            order = np.load(order_path, mmap_mode="r")
        except (pa.ArrowException, OSError, ValueError, EOFError) as error:
            reason = str(error).partition("\n")[0]
            raise CorruptIndexError(
                f"{path}: cannot be opened ({reason}); build the index again"
            ) from error
        count = sum(batch.num_rows for batch in batches)
        if order.shape != (count,) or order.dtype != np.int64:
            raise CorruptIndexError(
                f"{order_path}: {order.dtype} {order.shape}, expected int64 ({count},) as"
                f" {path.name} has documents; build the index again"
            )
        if tuple(schema.names[:3]) != TEXT_COLUMNS:
            raise CorruptIndexError(
                f"{path}: columns {schema.names}, expected {', '.join(TEXT_COLUMNS)} first"
            )
        return cls(batches, schema, order)

    def __len__(self) -> int:
        """How many documents there are."""
        return int(self._starts[-1])

    def get(self, ordinal: int) -> Document:
        """The document at a row, its metadata as Python values."""
        columns, row = self._place(ordinal)
        values = [_python_value(column[row]) for column in columns]
        doc_id, title, text = (str(value) for value in values[:3])
        metadata = dict(zip(self.schema.names[3:], values[3:], strict=True))
        return Document(doc_id, title, text, metadata)

    def doc_ids(self, ordinals: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """The doc_id of each ordinal, in the order given."""
        return [self._string(0, ordinal) for ordinal in _ints(ordinals)]

    def titles_and_texts(
        self, ordinals: Sequence[int] | NDArray[np.integer]
    ) -> list[tuple[str, str]]:
        """The title and the text of each ordinal, in the order given."""
        return [(self._string(1, i), self._string(2, i)) for i in _ints(ordinals)]

    def full_texts(self, ordinals: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """The `full_text` of each ordinal, in the order given."""
        return [full_text(title, text) for title, text in self.titles_and_texts(ordinals)]

    def iter_full_texts(self, batch_size: int, title_weight: int = 1) -> Iterator[list[str]]:
        """The `full_text` of every document in ordinal order, `batch_size` at a time."""
        pending: list[str] = []
        for columns in self._columns:
            for start in range(0, len(columns[0]), batch_size):
                titles, texts = (columns[i].slice(start, batch_size).to_pylist() for i in (1, 2))
                pending += map(full_text, titles, texts, repeat(title_weight))
                while len(pending) >= batch_size:
                    yield pending[:batch_size]
                    del pending[:batch_size]
        if pending:
            yield pending

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of `schema`, one chunk per record batch, not copied. KeyError for others."""
        index = self.schema.get_field_index(name)
        if index < 0:
            raise KeyError(name)
        chunks = [columns[index] for columns in self._columns]
        return pa.chunked_array(chunks, type=self.schema.field(index).type)

    @cached_property
    def id_rank(self) -> NDArray[np.int32]:
        """(n_docs,) int32: the position of each ordinal's doc_id in rising order."""
        ranks = np.empty(len(self), np.int32)
        ranks[self._order] = np.arange(len(self), dtype=np.int32)
        return ranks

    def ordinal(self, doc_id: str) -> int | None:
        """Where the document with this id is, None when there is none: about log2(n) reads."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            ordinal = int(self._order[middle])
            found = self._string(0, ordinal)
            if found == doc_id:
                return ordinal
            low, high = (middle + 1, high) if found < doc_id else (low, middle)
        return None

    def _string(self, column: int, ordinal: int) -> str:
        columns, row = self._place(ordinal)
        return str(columns[column][row].as_py())

    def _place(self, ordinal: int) -> tuple[list[pa.Array], int]:
        if not 0 <= ordinal < len(self):
            raise IndexError(f"ordinal {ordinal}, expected 0 to {len(self) - 1}")
        batch = int(np.searchsorted(self._starts, ordinal, side="right")) - 1
        return self._columns[batch], int(ordinal - self._starts[batch])


def _mapped(path: Path) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return reader.schema, [reader.get_batch(i) for i in range(reader.num_record_batches)]


def _ints(ordinals: Sequence[int] | NDArray[np.integer]) -> list[int]:
    return [int(ordinal) for ordinal in ordinals]


def _python_value(scalar: pa.Scalar) -> object:
    """The scalar in Python; where Python has none such (the year 20000), its number and type."""
    if pa.types.is_timestamp(scalar.type) and scalar.type.unit == "ns":
        scalar = scalar.cast(pa.timestamp("us", scalar.type.tz), safe=False)
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, ImportError, LookupError):
        # not str(scalar), which fails in the same way
        return f"{getattr(scalar, 'value', '?')} {scalar.type}"


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices within both limits, a single larger row excepted."""
    if batch.num_rows > 1 and (batch.num_rows > BATCH_ROWS or batch.nbytes > BATCH_BYTES):
        half = batch.num_rows // 2
        yield from _pieces(batch.slice(0, half))
        yield from _pieces(batch.slice(half))
    elif batch.num_rows:
        yield batch
