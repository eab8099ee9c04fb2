"""Reranking lists from files: JSONL (also gzipped) and Parquet; every fault names file and line.

Two shapes: a list a row, `{"query", "positive": [...], "negative": [...]}`, as SciDocs and MTEB
have it; or a pair a row, `{"query", "text", "label"}` with label 0 or 1. Columns `licence` and
`kind` (of query) are kept.

A list may carry what the first stage said, for `--loss residual`: `positive_scores` and
`negative_scores`, as long as `positive` and `negative`, fused scores moved to [0, 1] over the
query's candidates, null for a text that was none; and, where the negatives were drawn from more of
their kind, `negative_rates`: for each the share of those that was drawn, above 0 and at most 1.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scisearch.index.errors import TrainingError
from scisearch.rerank.training.lists import FirstStage, RerankingList, normal
from scisearch.retrieval.textfile import numbered_lines, read_bytes, shown

_SHAPES = (
    'a list {"query": "…", "positive": ["…"], "negative": ["…"]}'
    ' or a pair {"query": "…", "text": "…", "label": 0 or 1}'
)
_PARQUET_MAGIC = b"PAR1"


@dataclass(slots=True)
class _Grouped:
    """The pairs of one query of a file of pairs."""

    where: str
    licence: str | None
    kind: str | None
    texts: dict[int, list[str]] = field(default_factory=lambda: {1: [], 0: []})


@dataclass(frozen=True, slots=True)
class ListFile:
    """The lists of a file, and how many rows were no usable list."""

    path: Path
    lists: list[RerankingList]
    rejects: tuple[str, ...]  # one line each: where and why


def read_lists(path: Path, *, skip_bad: bool = False) -> ListFile:
    """The lists of a file.

    With `skip_bad` lists that cannot be learned from (no positive, no negative, the same text as
    both) are left out and told; what is not a list at all is an error all the same.

    Raises:
        TrainingError: the file holds no list, or a row is none.
        RankingError: the file cannot be read or is not UTF-8.
    """
    found: list[RerankingList] = []
    rejects: list[str] = []
    for where, one in _lists(path):
        problem = _problem(one)
        if problem is None:
            found.append(one)
        elif skip_bad:
            rejects.append(f"{where}: {problem}")
        else:
            raise TrainingError(f"{where}: {problem}; --skip-bad-lists leaves such lists out")
    if not found:
        left_out = f" ({len(rejects)} were left out, first: {rejects[0]})" if rejects else ""
        raise TrainingError(f"{path}: found no usable list{left_out}, expected {_SHAPES}")
    return ListFile(path, found, tuple(rejects))


def _problem(one: RerankingList) -> str | None:
    """Why nothing can be learned from the list, or None."""
    for name, texts, other in (
        ("positive", one.positives, "negatives"),
        ("negative", one.negatives, "positives"),
    ):
        if not texts:
            return (
                f"the list of {shown(one.query)} has no {name}, only {len(one)} {other};"
                " expected both classes"
            )
    both = {normal(text) for text in one.positives} & {normal(text) for text in one.negatives}
    if both:
        return f"{shown(min(both))} is both positive and negative for {shown(one.query)}"
    return None


def _lists(path: Path) -> Iterator[tuple[str, RerankingList]]:
    """Every list with the place it stands at."""
    grouped: dict[str, _Grouped] = {}
    for where, row in file_rows(path):
        if "positive" in row or "negative" in row:
            yield where, _list_of(where, row)
        elif "label" in row:
            _group(grouped, where, row)
        else:
            raise TrainingError(
                f"{where}: found the keys {', '.join(map(str, row)) or 'none'}, expected {_SHAPES}"
            )
    for query, group in grouped.items():
        texts = group.texts
        yield (
            group.where,
            RerankingList(query, tuple(texts[1]), tuple(texts[0]), group.licence, group.kind),
        )


def _list_of(where: str, row: Mapping[str, Any]) -> RerankingList:
    positives, negatives = _texts(where, row, "positive"), _texts(where, row, "negative")
    return RerankingList(
        _text(where, row, "query"),
        tuple(dict.fromkeys(positives)),
        tuple(dict.fromkeys(negatives)),
        _licence(where, row),
        _kind_of_query(where, row),
        _first_stage(where, row, positives, negatives),
    )


def _first_stage(
    where: str, row: Mapping[str, Any], positives: Sequence[str], negatives: Sequence[str]
) -> FirstStage | None:
    """The scores and rates of a row, or None where it has no scores."""
    names = ("positive_scores", "negative_scores")
    given = [name for name in (*names, "negative_rates") if row.get(name) is not None]
    if not given:
        return None
    if not set(names) <= set(given):
        raise TrainingError(
            f"{where}: found {' and '.join(given)} alone, expected {' and '.join(names)}"
        )
    rates: list[float | None] = [1.0] * len(negatives)
    if "negative_rates" in given:
        rates = _numbers(where, row, "negative_rates", len(negatives))
    return FirstStage(
        _of_distinct(positives, _numbers(where, row, names[0], len(positives))),
        _of_distinct(negatives, _numbers(where, row, names[1], len(negatives))),
        tuple(1.0 if rate is None else rate for rate in _of_distinct(negatives, rates)),
    )


def _of_distinct(texts: Sequence[str], numbers: Sequence[float | None]) -> tuple[float | None, ...]:
    """The numbers of the texts that stay when repeated ones go."""
    by_text: dict[str, float | None] = {}
    for text, number in zip(texts, numbers, strict=True):
        by_text.setdefault(text, number)
    return tuple(by_text.values())


def _numbers(where: str, row: Mapping[str, Any], key: str, length: int) -> list[float | None]:
    """One number, or null, for each text: a score from 0 to 1 or a rate above 0."""
    values = row[key]
    if not isinstance(values, list) or len(values) != length:
        found = f"{len(values)} numbers" if isinstance(values, list) else _kind(values)
        raise TrainingError(f"{where}: {key} has {found}, expected one for each of {length} texts")
    is_rate = key == "negative_rates"
    for place, value in enumerate(values, start=1):
        if value is None and not is_rate:
            continue
        if not _is_share(value) or (is_rate and value == 0):
            expected = "a share above 0 and at most 1" if is_rate else "a score from 0 to 1 or null"
            raise TrainingError(
                f"{where}: {key} number {place} is {shown(str(value))}, expected {expected}"
            )
    return values


def _is_share(value: object) -> bool:
    """Whether it is a number from 0 to 1; to Python a truth value is one, too."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _group(grouped: dict[str, _Grouped], where: str, row: Mapping[str, Any]) -> None:
    query, text, label = _text(where, row, "query"), _text(where, row, "text"), row["label"]
    # True == 1 in Python, but a truth value is an honest label too
    if not isinstance(label, (int, float)) or label not in (0, 1):
        raise TrainingError(f"{where}: found the label {shown(str(label))}, expected 0 or 1")
    group = grouped.get(query)
    if group is None:
        group = _Grouped(where, _licence(where, row), _kind_of_query(where, row))
        grouped[query] = group
    group.texts[int(label)].append(text)


def _text(where: str, row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise TrainingError(f"{where}: {key} is {_kind(value)}, expected a text")
    if not value.strip():
        raise TrainingError(f"{where}: {key} is empty, expected a text")
    return value


def _texts(where: str, row: Mapping[str, Any], key: str) -> list[str]:
    values = row.get(key)
    if values is None:
        values = []
    if not isinstance(values, list):
        raise TrainingError(f"{where}: {key} is {_kind(values)}, expected an array of texts")
    for place, value in enumerate(values, start=1):
        if not isinstance(value, str) or not value.strip():
            found = "empty" if isinstance(value, str) else _kind(value)
            raise TrainingError(f"{where}: {key} number {place} is {found}, expected a text")
    return values


def _licence(where: str, row: Mapping[str, Any]) -> str | None:
    for key in ("licence", "license"):
        if row.get(key) is not None:
            return _text(where, row, key)
    return None


def _kind_of_query(where: str, row: Mapping[str, Any]) -> str | None:
    return _text(where, row, "kind") if row.get("kind") is not None else None


def _kind(value: object) -> str:
    """What JSON calls the value."""
    names = {dict: "an object", list: "an array", str: "a text", bool: "a truth value"}
    return "missing" if value is None else names.get(type(value), "a number")


def file_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every row of a JSONL or Parquet file, with its place for messages.

    Raises:
        TrainingError: a row is no object, or the Parquet file is damaged.
        RankingError: the file cannot be read or is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            is_parquet = stream.read(4) == _PARQUET_MAGIC
    except OSError:
        is_parquet = False  # read_bytes says what is wrong
    if is_parquet:
        yield from _parquet_rows(path)
        return
    for number, line in numbered_lines(path, read_bytes(path)):
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TrainingError(f"{where}: not JSON ({error}), expected an object") from error
        if not isinstance(row, dict):
            raise TrainingError(f"{where}: found {_kind(row)}, expected an object")
        yield where, row


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"{path}: cannot be read as Parquet after row {number} ({reason}); write it again"
        ) from error
