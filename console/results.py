"""Search results as lines of text."""

from collections.abc import Mapping

import click

from scisearch.retrieval.results import SearchHit, SearchResult
from scisearch.retrieval.snippets import Snippet

_INDENT = "    "


def render_result(result: SearchResult, *, explain: bool, styled: bool) -> str:
    """The answer to a query: one block for each hit, then the notes and the times.

    With `styled` the matching words are bold (for a terminal), else they stand between asterisks.
    """
    blocks = [
        _hit(rank, hit, explain=explain, styled=styled)
        for rank, hit in enumerate(result.hits, start=1)
    ]
    if not blocks:
        blocks = ["no document was found"]
    footer = [f"note: {note}" for note in result.notes]
    footer.append(f"{result.mode}: {times(result.milliseconds)}")
    return "\n\n".join([*blocks, "\n".join(footer)])


def times(milliseconds: Mapping[str, float]) -> str:
    """The times of the stages and their sum: "bm25 1.2 + fuse 0.1 = 1.3 ms"."""
    parts = [f"{name} {ms:.1f}" for name, ms in milliseconds.items()]
    return f"{' + '.join(parts)} = {sum(milliseconds.values()):.1f} ms" if parts else "0 ms"


def _hit(rank: int, hit: SearchHit, *, explain: bool, styled: bool) -> str:
    document = hit.document
    origin = ", ".join(
        str(document.metadata[name])
        for name in ("venue", "year")
        if document.metadata.get(name) not in (None, "")
    )
    title = " ".join(document.title.split()) or "(no title)"
    heading = f"{rank:>2}. {title}{f' ({origin})' if origin else ''}"
    lines = [click.style(heading, bold=True) if styled else heading]
    chance = "" if hit.probability is None else f"  probability {hit.probability:.2f}"
    lines.append(f"{_INDENT}{document.doc_id}  score {hit.score:.4f}{chance}")
    marked = _marked(hit.snippet, styled=styled)
    if marked:
        lines.append(_INDENT + marked)
    if explain:
        lines.append(_INDENT + _explained(hit))
    return "\n".join(lines)


def _marked(snippet: Snippet, *, styled: bool) -> str:
    """The snippet with its marks, as one line."""
    parts = []
    end = 0
    for start, stop in snippet.marks:
        parts.append(snippet.text[end:start])
        word = snippet.text[start:stop]
        parts.append(click.style(word, bold=True, fg="yellow") if styled else f"*{word}*")
        end = stop
    parts.append(snippet.text[end:])
    return " ".join("".join(parts).split())


def _explained(hit: SearchHit) -> str:
    return " | ".join(
        f"{name} #{given.rank} ({given.score:.4f})" for name, given in hit.stages.items()
    )
