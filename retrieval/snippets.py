"""The part of a text that shows why it was found, with the words that match marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scisearch.index.analyzer import Analyzer, TermSpan

_CUT = "\u2026"


class Snippet(NamedTuple):
    """A piece of text and where its matching words stand in it: (start, end) pairs, rising."""

    text: str
    marks: tuple[tuple[int, int], ...]


class _Window(NamedTuple):
    """From `start` to before `end` in the whole text."""

    start: int
    end: int


def snippet(
    text: str, query_terms: frozenset[str], analyzer: "Analyzer", *, width: int = 240
) -> Snippet:
    """The window with the most different query terms, the first of several.

    It has at most `width` characters, besides an ellipsis at each end where text was left out,
    and is cut between words where there are any. Line breaks become spaces. Linear in the text.
    """
    matches = sorted(analyzer.spans(text, query_terms))
    width = max(width, 1)
    window = _at_words(text, _widened(_densest(matches, query_terms, width), text, width))
    before = _CUT if text[: window.start].strip() else ""
    after = _CUT if text[window.end :].strip() else ""
    shown = "".join(" " if c.isspace() else c for c in text[window.start : window.end])
    marks = _marks(matches, window, shift=len(before) - window.start)
    return Snippet(before + shown + after, marks)


def _densest(matches: Sequence["TermSpan"], query_terms: frozenset[str], width: int) -> _Window:
    """The stretch of at most `width` characters with the most different terms."""
    best, most = _Window(0, 0), 0
    inside: dict[str, int] = {}  # how many matches of each term the stretch has
    left = end = 0
    for match in matches:
        end = max(end, match.end)
        for term in query_terms.intersection(match.terms):
            inside[term] = inside.get(term, 0) + 1
        while end - matches[left].start > width and matches[left] is not match:
            for term in query_terms.intersection(matches[left].terms):
                inside[term] -= 1
                if not inside[term]:
                    del inside[term]
            left += 1
        if len(inside) > most:
            most = len(inside)
            best = _Window(matches[left].start, min(end, matches[left].start + width))
    return best


def _widened(core: _Window, text: str, width: int) -> _Window:
    """The core with as much of the text on both sides as fits in `width`."""
    room = max(0, width - (core.end - core.start))
    start = max(0, core.start - room // 2)
    end = min(len(text), start + width)
    return _Window(max(0, min(start, end - width)), end)


def _at_words(text: str, window: _Window) -> _Window:
    """The window less the words that its borders cut, unless that would leave less than half."""
    start, end = window
    half = (end - start) // 4
    if start > 0 and not text[start - 1].isspace():
        start = next((i + 1 for i in range(start, start + half) if text[i].isspace()), start)
    if end < len(text) and not text[end].isspace():
        end = next((i for i in range(end - 1, end - half, -1) if text[i].isspace()), end)
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return _Window(start, end)


def _marks(
    matches: Sequence["TermSpan"], window: _Window, *, shift: int
) -> tuple[tuple[int, int], ...]:
    """The matches inside the window, joined where they overlap or touch, moved by `shift`."""
    marks: list[tuple[int, int]] = []
    for match in matches:
        start, end = max(match.start, window.start), min(match.end, window.end)
        if start >= end:
            continue
        if marks and start <= marks[-1][1]:
            marks[-1] = (min(start, marks[-1][0]), max(end, marks[-1][1]))
        else:
            marks.append((start, end))
    return tuple((start + shift, end + shift) for start, end in marks)
