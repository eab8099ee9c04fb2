"""Reads Parquet a few rows at a time; never a whole file or row group at once."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scisearch.index.columns import is_text, plain_array, plain_type
from scisearch.index.errors import CorpusError
from scisearch.index.rows import PIECE_BYTES, RawBatch, Reject, Roles, SourceField

_BUFFER_BYTES = 2**20  # read-ahead for each column; without it a column chunk is read whole


class ParquetSource:
    """One Parquet file. Metadata columns keep their types, as `plain_type` makes them plain."""

    def __init__(self, file: Path) -> None:
        """Read the footer.

        Raises:
            CorpusError: the file is no Parquet file, or is cut off.
        """
        self.file = file
        with _open(file) as parquet:
            given = parquet.schema_arrow
            groups = [parquet.metadata.row_group(i) for i in range(parquet.metadata.num_row_groups)]
        self.n_rows = sum(group.num_rows for group in groups)
        self._given = [field.type for field in given]
        self.fields = tuple(SourceField(field.name, plain_type(field.type)) for field in given)
        sizes = [group.total_byte_size // group.num_rows for group in groups if group.num_rows]
        self._row_bytes = max(sizes, default=0) + 1

    def check(self, roles: Roles) -> None:
        """Refuse columns whose type cannot be an id, a title or a text.

        Raises:
            CorpusError: see above.
        """
        field = self.fields[roles.doc_id]
        if not _holds_text(field.type) and not pa.types.is_integer(field.type):
            raise CorpusError(
                f"{self.file}: id column '{field.name}' is {field.type}, expected text or whole"
                " numbers; convert it or name another with --id-column"
            )
        for role, index in (("title", roles.title), ("text", roles.text)):
            if index is not None and not _holds_text(self.fields[index].type):
                raise CorpusError(
                    f"{self.file}: {role} column '{self.fields[index].name}' is"
                    f" {self.fields[index].type}, expected text; name another with --{role}-column"
                )

    def batches(self, roles: Roles, *, batch_rows: int) -> Iterator[RawBatch]:
        """All rows in order.

        Raises:
            CorpusError: a page is damaged or missing.
        """
        size = max(1, min(batch_rows, PIECE_BYTES // self._row_bytes))
        start = 0
        with _open(self.file) as parquet:
            given = parquet.iter_batches(batch_size=size)
            while (batch := self._next(given, start)) is not None:
                for piece in _pieces(batch):
                    yield self._raw(piece, roles, start)
                    start += piece.num_rows

    def _next(self, batches: Iterator[pa.RecordBatch], row: int) -> pa.RecordBatch | None:
        try:
            return next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise CorpusError(
                f"{self.file}: damaged Parquet after row {row} of {self.n_rows}"
                f" ({_first_line(error)}); write or copy the file again"
            ) from error

    def _raw(self, batch: pa.RecordBatch, roles: Roles, start: int) -> RawBatch:
        others = roles.others(len(self.fields))
        metadata = [plain_array(batch.column(i), self.fields[i].type) for i in others]
        broken = _not_utf8(metadata, batch.num_rows)
        kept = [i for i in range(batch.num_rows) if i not in broken]
        if broken:
            batch = batch.take(pa.array(kept, pa.int64()))
            metadata = [array.take(pa.array(kept, pa.int64())) for array in metadata]
        empty: Sequence[object] = [None] * batch.num_rows
        return RawBatch(
            rows=[start + i for i in kept],
            lines=list(repeat(None, batch.num_rows)),
            doc_ids=_values(batch.column(roles.doc_id)),
            titles=empty if roles.title is None else _values(batch.column(roles.title)),
            texts=_values(batch.column(roles.text)),
            metadata=metadata,
            rejects=[
                Reject(start + i, None, "a metadata column holds bytes that are not UTF-8")
                for i in sorted(broken)
            ],
        )


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        size = file.stat().st_size if file.exists() else 0
        raise CorpusError(
            f"{file}: not a complete Parquet file ({size} bytes: {_first_line(error)});"
            " write or copy it again"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _holds_text(given: pa.DataType) -> bool:
    return is_text(given) or pa.types.is_binary(given) or pa.types.is_null(given)


def _values(array: pa.Array) -> list[object]:
    """Python values; text as bytes, so that one wrong byte costs its own row only."""
    plain = plain_type(array.type)
    values: list[object] = (
        _as_bytes(array) if is_text(plain) else plain_array(array, plain)
    ).to_pylist()
    return values


def _as_bytes(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string_view(array.type):
        return array.cast(pa.binary_view())
    return array.cast(pa.large_binary() if pa.types.is_large_string(array.type) else pa.binary())


def _not_utf8(metadata: Sequence[pa.Array], n_rows: int) -> set[int]:
    return {
        row
        for array in metadata
        if not _is_valid(array)
        for row in range(n_rows)
        if not _is_valid(pa.concat_arrays([array.slice(row, 1)]))
    }


def _is_valid(array: pa.Array) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices of about PIECE_BYTES: the footer's average row may be far too small."""
    count = max(1, min(batch.num_rows, batch.nbytes // PIECE_BYTES))
    size = -(-batch.num_rows // count) or 1
    for start in range(0, batch.num_rows, size):
        yield batch.slice(start, size)
