"""A report as blocks, written as markdown or as one HTML page that needs nothing beside it.

A `str` is a paragraph; in it `**` marks what is important and a backtick what was typed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TypeAlias

from scisearch.console.tables import Table


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of what follows; level 1 is the title of the page."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture by its name: NAME.png beside the report, or an element of the page."""

    name: str

    @property
    def alt(self) -> str:
        """What it shows, in words."""
        return self.name.replace("-", " ")


Block: TypeAlias = str | Heading | Table | Picture


def markdown_report(blocks: Iterable[Block]) -> str:
    """The blocks as markdown."""
    return "\n\n".join(map(_markdown, blocks)) + "\n"


def html_report(blocks: Iterable[Block], pictures: Mapping[str, str]) -> str:
    """The blocks as a page without scripts or anything to load, light or dark as the reader has it.

    `pictures` is name -> <svg> element.
    """
    blocks = list(blocks)
    title = next((b.text for b in blocks if isinstance(b, Heading) and b.level == 1), "Report")
    style = files("scisearch.console").joinpath("report.css").read_text(encoding="utf-8")
    body = "\n".join(_html(block, pictures) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Table():
            return block.markdown()
        case Picture(name):
            return f"![{block.alt}]({name}.png)"
        case _:
            return block


def _html(block: Block, pictures: Mapping[str, str]) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Table():
            return block.html()
        case Picture(name):
            return f"<figure>{pictures[name]}</figure>"
        case _:
            text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(block))
            text = re.sub(r"`(.+?)`", r"<code>\1</code>", text)
            return f"<p>{text}</p>"
