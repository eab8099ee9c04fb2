"""Topics files in: which query has which id. The format is told by the content, not by the name.

Tab-separated (`query_id<TAB>text`), JSON lines (BEIR's queries.jsonl), TREC topics with `<top>` or
`<topic>` elements. TREC's own mark-up is in markup_topics.py.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scisearch.index.errors import RankingError
from scisearch.retrieval.markup_topics import decode_markup, markup_topics
from scisearch.retrieval.ranking import Query
from scisearch.retrieval.textfile import check_id, numbered_lines, read_bytes, shown

_ID_NAMES = ("_id", "query_id", "query-id", "qid", "id", "topic_id", "topic", "number", "num")
_TEXT_NAMES = ("text", "query", "title", "question")


@dataclass(frozen=True, slots=True)
class _RawTopic:
    """One topic as found: where, its id, and its parts by name in the order of the file."""

    line: int
    query_id: str
    parts: Mapping[str, str]


def read_topics(path: Path, fields: Sequence[str] | None = None) -> list[Query]:
    """The topics of a file in its order; an empty text is legal (such a query finds nothing).

    Args:
        path: tab-separated, JSON lines or TREC topics, UTF-8 (TREC topics also Latin-1), also .gz.
        fields: the parts of a topic to join with a blank, such as ('title', 'desc'). None takes
            the first of text, query, title and question that the topic has.

    Raises:
        RankingError: a malformed line, a bad or repeated id, a missing field, or no topic at all.
    """
    path = Path(path)
    queries: list[Query] = []
    first_lines: dict[str, int] = {}
    for raw in _raw_topics(path, read_bytes(path)):
        where = f"{path}:{raw.line}"
        query_id = check_id(raw.query_id.strip(), where=where, what="query id")
        if query_id in first_lines:
            raise RankingError(
                f"{where}: found query id {query_id} again, expected each once;"
                f" it stands first on line {first_lines[query_id]}"
            )
        first_lines[query_id] = raw.line
        queries.append(Query(query_id, _joined(raw, fields, where)))
    if not queries:
        raise RankingError(
            f"{path}: found no topic, expected lines 'query_id<TAB>text', JSON lines, or TREC"
            " <top> elements"
        )
    return queries


def _raw_topics(path: Path, content: bytes) -> Iterator[_RawTopic]:
    begin = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if begin == b"<" or content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = decode_markup(content)
        for line, query_id, parts in markup_topics(path, text):
            yield _RawTopic(line, query_id, parts)
    elif begin == b"{":
        yield from _json_topics(path, content)
    else:
        yield from _tab_topics(path, content)


def _joined(raw: _RawTopic, fields: Sequence[str] | None, where: str) -> str:
    if fields is None:
        chosen = [next((name for name in _TEXT_NAMES if name in raw.parts), "")]
    else:
        chosen = [_part_name(field) for field in fields]
    missing = next((name for name in chosen if name not in raw.parts), None)
    if missing is not None:
        wanted = missing or " or ".join(_TEXT_NAMES)
        raise RankingError(
            f"{where}: found topic {raw.query_id.strip()} with {', '.join(raw.parts) or 'no part'},"
            f" expected {wanted}; name the parts to search with as its fields"
        )
    joined = " ".join(raw.parts[name] for name in chosen if raw.parts[name])
    # A tokenizer written in Rust refuses half a surrogate pair, and no query may make it raise.
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def _part_name(field: str) -> str:
    aliases = {"description": "desc", "narrative": "narr"}
    name = field.strip().lower()
    return aliases.get(name, name)


def _json_topics(path: Path, content: bytes) -> Iterator[_RawTopic]:
    for number, line in numbered_lines(path, content):
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise RankingError(
                f"{path}:{number}: found {shown(line)}, expected one JSON object on the line"
                ' such as {"query_id": "1", "text": "..."}'
            ) from error
        if not isinstance(record, dict):
            raise RankingError(
                f"{path}:{number}: found {shown(line)}, expected a JSON object with query_id and"
                " text"
            )
        parts = {
            _part_name(name): value for name, value in record.items() if isinstance(value, str)
        }
        yield _RawTopic(number, _json_id(record, f"{path}:{number}"), parts)


def _json_id(record: Mapping[str, object], where: str) -> str:
    name = next((name for name in _ID_NAMES if name in record), None)
    if name is None:
        raise RankingError(
            f"{where}: found the names {', '.join(record) or 'none'}, expected an id under one of"
            f" {', '.join(_ID_NAMES[:5])}"
        )
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RankingError(
            f"{where}: found {name} {shown(str(value))}, expected a string or a whole number"
        )
    return str(value)


def _tab_topics(path: Path, content: bytes) -> Iterator[_RawTopic]:
    names: list[str] | None = None
    for position, (number, line) in enumerate(numbered_lines(path, content)):
        columns = line.split("\t")
        if position == 0:
            names = _header(columns)
            if names is not None:
                continue
        expected = len(names) if names is not None else 2
        if len(columns) != expected:
            raise RankingError(
                f"{path}:{number}: found {len(columns)} tab-separated columns in {shown(line)},"
                f" expected {expected}: {_expected_columns(names)}"
            )
        yield _tab_topic(number, columns, names or ["query_id", "text"])


def _header(columns: Sequence[str]) -> list[str] | None:
    names = [_part_name(column) for column in columns]
    if len(names) > 1 and names[0] in _ID_NAMES and any(name in _TEXT_NAMES for name in names):
        return names
    return None


def _expected_columns(names: Sequence[str] | None) -> str:
    return "query_id<TAB>text" if names is None else "those of the header, " + ", ".join(names)


def _tab_topic(number: int, columns: Sequence[str], names: Sequence[str]) -> _RawTopic:
    parts = dict(zip(names[1:], (column.strip() for column in columns[1:]), strict=True))
    return _RawTopic(number, columns[0], parts)
