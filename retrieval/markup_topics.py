"""TREC topics in mark-up: `<top>` of the early years without end tags, `<topic>` of the later XML.

One lenient reader serves both, because files that look like XML often hold a bare & or < and the
old ones never were SGML that a parser would take.
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path

from scisearch.index.errors import RankingError

_NAMES = {
    "number": "num",
    "qid": "num",
    "id": "num",
    "description": "desc",
    "narrative": "narr",
}
_LABELS = {
    "num": re.compile(r"^(number|topic)\s*:\s*", re.IGNORECASE),
    "title": re.compile(r"^topic\s*:\s*", re.IGNORECASE),
    "desc": re.compile(r"^description\s*:\s*", re.IGNORECASE),
    "narr": re.compile(r"^narrative\s*:\s*", re.IGNORECASE),
    "smry": re.compile(r"^summary\s*:\s*", re.IGNORECASE),
    "con": re.compile(r"^concepts?\s*(\(s\))?\s*:\s*", re.IGNORECASE),
}
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_TOPIC = re.compile(r"<(?P<name>top|topic)(?=[\s>])(?P<attributes>[^<>]*)>", re.IGNORECASE)
_TOPIC_END = re.compile(r"</(top|topic|topics|xml)\s*>", re.IGNORECASE)
_ID_ATTRIBUTE = re.compile(r"""\b(?:number|num|qid|id)\s*=\s*["']([^"']*)["']""", re.IGNORECASE)
_DECLARED_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
# A part opens where a line does, or anywhere if its name is one of these: a text may hold "x<y>".
_KNOWN = "num|number|title|desc|description|narr|narrative|query|question|smry|summary|con|note"
_PART = re.compile(
    rf"(?:^[ \t]*<(?P<first>[a-z][\w.-]*)(?P<rest>\s[^<>]*)?>|<(?P<known>{_KNOWN})(?:\s[^<>]*)?>)",
    re.IGNORECASE | re.MULTILINE,
)


def decode_markup(content: bytes) -> str:
    """The text of a TREC topics file: its declared encoding, UTF-8, or else Latin-1.

    Latin-1 takes any byte, which is what the files of the 1990s need.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    declared = _DECLARED_ENCODING.match(content)
    for encoding in ([declared[1].decode("ascii")] if declared else []) + ["utf-8-sig"]:
        try:
            return content.decode(encoding)
        except (LookupError, UnicodeDecodeError):
            continue
    return content.decode("latin-1")


def markup_topics(path: Path, text: str) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Line, query id and parts of each topic; `desc` and `narr` also stand for their long names.

    Raises:
        RankingError: a topic has no number.
    """
    text = _COMMENT.sub(_blank_lines, text.replace("\r\n", "\n"))
    text = _CDATA.sub(lambda match: html.escape(match[1], quote=False), text)
    openings = list(_TOPIC.finditer(text))
    ends = [*(opening.start() for opening in openings), len(text)][1:]
    line, counted = 1, 0
    for opening, end in zip(openings, ends, strict=True):
        line += text.count("\n", counted, opening.start())
        counted = opening.start()
        parts = _parts(_before_end(text[opening.end() : end]))
        attribute = _ID_ATTRIBUTE.search(opening["attributes"])
        query_id = html.unescape(attribute[1]) if attribute else parts.pop("num", None)
        if query_id is None:
            raise RankingError(
                f"{path}:{line}: found a <{opening['name']}> without a number, expected"
                ' <num> Number: 401 or <topic number="401">'
            )
        yield line, query_id, parts


def _blank_lines(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _before_end(body: str) -> str:
    end = _TOPIC_END.search(body)
    return body[: end.start()] if end else body


def _parts(body: str) -> dict[str, str]:
    openings = list(_PART.finditer(body))
    ends = [*(opening.start() for opening in openings), len(body)][1:]
    parts: dict[str, str] = {}
    for opening, end in zip(openings, ends, strict=True):
        tag = (opening["first"] or opening["known"]).lower()
        name = _NAMES.get(tag, tag)
        inside = re.split(rf"</{re.escape(tag)}\s*>", body[opening.end() : end], flags=re.I)[0]
        value = " ".join(html.unescape(inside).split())
        label = _LABELS.get(name)
        # A part that occurs again, as subtopics do, does not replace the first.
        parts.setdefault(name, label.sub("", value) if label else value)
    return parts
