"""Reads JSONL and CSV line by line, twice: once for the types of the columns, once for the rows.

Two passes cost the parsing again and make the schema final before the first batch, so that no
later row can contradict it. Memory holds one batch, and one row of at most MAX_ROW_BYTES.
"""

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, AnyStr, NamedTuple, Protocol, cast

import pyarrow as pa

from scisearch.index.errors import CorpusError
from scisearch.index.rows import (
    MAX_ROW_BYTES,
    PIECE_BYTES,
    RawBatch,
    Reject,
    Roles,
    SourceField,
)

_MAX_COLUMNS = 1000  # more are no columns but keys that are data
_CONSTANTS = {"NaN": None, "Infinity": math.inf, "-Infinity": -math.inf}
_DECODER = json.JSONDecoder(parse_constant=_CONSTANTS.__getitem__)


class ColumnKey(NamedTuple):
    """Where a value stands in its row: its name, inside `metadata` or not, its CSV position."""

    name: str
    nested: bool = False
    position: int = 0


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """One row of a text file, or the reason why it is none."""

    line: int
    size: int
    values: Mapping[ColumnKey, object]
    problem: str | None = None


class ColumnGuess(Protocol):
    """Learns a column's type from all its values, then builds its arrays."""

    @property
    def type(self) -> pa.DataType:
        """The type found so far."""
        ...

    def see(self, value: object) -> None:
        """Learn from one value."""
        ...

    def array(self, values: Sequence[object]) -> pa.Array:
        """Values that were seen, as an array of `type`."""
        ...


class TextSource:
    """One JSONL, CSV or TSV file."""

    def __init__(
        self,
        file: Path,
        parse: Callable[[Path], Iterator[ParsedRow]],
        guess: Callable[[], ColumnGuess],
    ) -> None:
        """Go through the file once for its columns and their types.

        Raises:
            CorpusError: unreadable, no row that can be read, a row over MAX_ROW_BYTES.
        """
        self.file = file
        self._parse = parse
        self._guesses: dict[ColumnKey, ColumnGuess] = {}
        self.n_rows = 0
        problem: str | None = None
        for parsed in parse(file):
            self.n_rows += 1
            problem = problem or (parsed.problem and f"line {parsed.line}: {parsed.problem}")
            for key, value in parsed.values.items():
                if key not in self._guesses:
                    self._guesses[key] = guess()
                self._guesses[key].see(value)
            if len(self._guesses) > _MAX_COLUMNS:
                raise CorpusError(
                    f"{file}:{parsed.line}: over {_MAX_COLUMNS} columns so far, expected the same"
                    " few keys in every row"
                )
        if self.n_rows and not self._guesses:
            raise CorpusError(f"{file}: none of its {self.n_rows} rows can be read; {problem}")
        self.fields = tuple(
            SourceField(key.name, found.type, key.nested) for key, found in self._guesses.items()
        )

    def check(self, roles: Roles) -> None:
        """Nothing: the values of a text file are judged row by row."""

    def batches(self, roles: Roles, *, batch_rows: int) -> Iterator[RawBatch]:
        """All rows in order.

        Raises:
            CorpusError: the file breaks off or changed since its types were read.
        """
        pending: list[tuple[int, ParsedRow]] = []
        size = 0
        for row, parsed in enumerate(self._parse(self.file)):
            pending.append((row, parsed))
            size += parsed.size
            if len(pending) >= batch_rows or size >= PIECE_BYTES:
                yield self._raw(pending, roles)
                pending, size = [], 0
        if pending:
            yield self._raw(pending, roles)

    def _raw(self, pending: Sequence[tuple[int, ParsedRow]], roles: Roles) -> RawBatch:
        good = [(row, parsed) for row, parsed in pending if parsed.problem is None]
        keys = list(self._guesses)

        def values(index: int | None) -> list[object]:
            if index is None:
                return [None] * len(good)
            return [parsed.values.get(keys[index]) for _, parsed in good]

        try:
            metadata = [
                self._guesses[keys[i]].array(values(i)) for i in roles.others(len(self.fields))
            ]
        except (pa.ArrowException, TypeError) as error:
            raise CorpusError(
                f"{self.file}: changed while it was read (row {pending[0][0]} and on);"
                " start again once it is complete"
            ) from error
        return RawBatch(
            rows=[row for row, _ in good],
            lines=[parsed.line for _, parsed in good],
            doc_ids=values(roles.doc_id),
            titles=values(roles.title),
            texts=values(roles.text),
            metadata=metadata,
            rejects=[
                Reject(row, None, parsed.problem, parsed.line)
                for row, parsed in pending
                if parsed.problem is not None
            ],
        )


def parse_jsonl(file: Path) -> Iterator[ParsedRow]:
    """The lines of `file` that are not blank.

    The keys of an object called `metadata`, as BEIR has it, become columns of their own.

    Raises:
        CorpusError: the file cannot be read.
    """
    with _reading(file) as handle:
        for number, line in enumerate(_lines(file, handle), start=1):
            content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if content.strip():
                yield _parsed_json(content, number)


def _parsed_json(content: bytes, number: int) -> ParsedRow:
    size = len(content)
    try:
        row = _DECODER.decode(content.decode("utf-8"))
        if b"\\u" in content and b"\\ud" in content.lower():
            json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        return ParsedRow(number, size, {}, f"byte {error.start} of the line is not UTF-8")
    except UnicodeEncodeError:
        return ParsedRow(number, size, {}, "half of a surrogate pair is not Unicode text")
    except (ValueError, RecursionError) as error:
        return ParsedRow(number, size, {}, f"not JSON: {error}")
    if not isinstance(row, dict):
        found = type(row).__name__
        return ParsedRow(number, size, {}, f"expected a JSON object, got {found}")
    values: dict[ColumnKey, object] = {}
    for name, value in row.items():
        if name == "metadata" and isinstance(value, dict):
            values.update({_key(key, True): item for key, item in value.items()})
        else:
            values[_key(name, False)] = value
    return ParsedRow(number, size, values)


@lru_cache(2 * _MAX_COLUMNS)
def _key(name: str, nested: bool) -> ColumnKey:
    return ColumnKey(name, nested)


def parse_delimited(file: Path, *, delimiter: str) -> Iterator[ParsedRow]:
    """The rows below the header; fields are quoted as in RFC 4180 and may hold line breaks.

    Raises:
        CorpusError: the file cannot be read, or has no header.
    """
    # process-wide, so it is only ever raised; the default refuses fields over 128 KB
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
    with _reading(file) as handle:
        text = io.TextIOWrapper(handle, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(_lines(file, text), delimiter=delimiter, strict=True)
        header, problem = _next_record(reader)
        if not header:
            found = problem or "no header row"
            raise CorpusError(f"{file}:1: {found}; expected the names of the columns first")
        keys = [
            ColumnKey(name.strip() or f"column_{i + 1}", position=i)
            for i, name in enumerate(header)
        ]
        while True:
            line = reader.line_num + 1
            record, problem = _next_record(reader)
            if record is None and problem is None:
                return
            if record != []:  # a blank line
                yield _parsed_record(keys, record or [], problem, line)


def _next_record(reader: Iterator[list[str]]) -> tuple[list[str] | None, str | None]:
    try:
        return next(reader, None), None
    except csv.Error as error:
        return None, f"not CSV: {error}"


def _parsed_record(
    keys: Sequence[ColumnKey], record: Sequence[str], problem: str | None, line: int
) -> ParsedRow:
    size = sum(map(len, record))
    if problem is None and len(record) != len(keys):
        problem = f"{len(record)} fields, expected {len(keys)} as in the header"
    if problem is None and not all(cell.isascii() or _is_unicode(cell) for cell in record):
        problem = "holds bytes that are not UTF-8"
    if problem is not None:
        return ParsedRow(line, size, {}, problem)
    return ParsedRow(line, size, dict(zip(keys, record, strict=True)))


def _is_unicode(cell: str) -> bool:
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _reading(file: Path) -> Iterator[IO[bytes]]:
    try:
        packed = file.suffix.lower() == ".gz"
        with cast("IO[bytes]", gzip.open(file)) if packed else file.open("rb") as handle:
            yield handle
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(
            f"{file}: cannot be read to its end ({error}); write or copy it again"
        ) from error


def _lines(file: Path, handle: IO[AnyStr]) -> Iterator[AnyStr]:
    number = 0
    while line := handle.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            raise CorpusError(
                f"{file}:{number}: a line of over {MAX_ROW_BYTES >> 20} MB, expected one document"
            )
        yield line
