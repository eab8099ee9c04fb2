"""How the pictures of a card look, and how a figure becomes a file or a part of a page.

Colours are Okabe and Ito's, told apart by all common kinds of colour vision; markers, dashes,
hatches and labels carry the same without colour. Files have a white ground, so that a dark page
shows them as well. In a page the colours are its own CSS variables, named by `CSS_NAMES`.
"""

import io
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
SKY, PURPLE, YELLOW, GREY = "#56b4e9", "#cc79a7", "#f0e442", "#767676"
GROUND, INK, FAINT, RULE = "#ffffff", "#000000", "#595959", "#e6e6e6"
CSS_NAMES: Mapping[str, str] = {
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    VERMILION: "vermilion",
    SKY: "sky",
    PURPLE: "purple",
    YELLOW: "yellow",
    GREY: "grey",
    GROUND: "ground",
    INK: "ink",
    FAINT: "faint",
    RULE: "rule",
}
_SYSTEMS: Mapping[str, dict[str, Any]] = {
    "bm25": {"color": BLUE, "marker": "o", "linestyle": "-"},
    "dense": {"color": ORANGE, "marker": "s", "linestyle": "--"},
    "hybrid": {"color": GREEN, "marker": "^", "linestyle": "-."},
    "fast": {"color": SKY, "marker": "d", "linestyle": "-"},
    "cascade": {"color": PURPLE, "marker": "h", "linestyle": "--"},
    "rerank": {"color": VERMILION, "marker": "D", "linestyle": ":"},
}
_PIXELS_PER_INCH = 100  # of a page: letters of 10 points are 14 pixels high
_OTHERS = tuple(  # a system that is none of ours: other colours, and markers of its own
    {"color": color, "marker": marker, "linestyle": (0, (3, 1, 1, 1))}
    for marker in "vP*<>"
    for color in (PURPLE, SKY, GREY)
)


def plots_installed() -> bool:
    """Whether matplotlib, of the extra `plots`, is there."""
    return find_spec("matplotlib") is not None


def system_style(name: str, systems: Mapping[str, Any]) -> dict[str, Any]:
    """Colour, marker and dashes of one of the systems of a card."""
    if name in _SYSTEMS:
        return _SYSTEMS[name]
    strangers = [one for one in systems if one not in _SYSTEMS]
    return _OTHERS[strangers.index(name) % len(_OTHERS)]


def new_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of so many inches, with one pair of axes."""
    from matplotlib.figure import Figure  # opens no window, unlike pyplot

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def plain(axes: "Axes", title: str, across: str, up: str) -> None:
    """Title and labels, a faint grid, and no frame."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(visible=True, color=RULE, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: "Figure", folder: Path, name: str) -> tuple[Path, Path]:
    """Write NAME.png and NAME.svg; the same card gives the same bytes."""
    import matplotlib as mpl

    paths = folder / f"{name}.png", folder / f"{name}.svg"
    with mpl.rc_context({"svg.hashsalt": name}):  # else names in it are drawn by lot
        figure.savefig(paths[0], dpi=150, metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def inline_svg(figure: "Figure", name: str, alt: str) -> str:
    """The figure as an <svg> element for a page: no ground, the page's colours, text as text."""
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    # ids that nothing refers to would occur again in the page's next picture
    svg = re.sub(r'<g id="[a-zA-Z_.]+\d*(?:_\d+)*"', "<g", svg)
    for color, css in CSS_NAMES.items():
        svg = svg.replace(color, f"var(--{css})")
    head, body = svg.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    box = view.group() if view else ""
    size = f"max-width: {figure.get_figwidth() * _PIXELS_PER_INCH:.0f}px"  # letters of one size
    return f'<svg {box} role="img" aria-label="{alt}" class="picture" style="{size}">{body}'
