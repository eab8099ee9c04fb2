"""Pictures of a benchmark card, PNG and SVG: drawn from the card alone, so that any card will do.

Colours are Okabe and Ito's, told apart by all common kinds of colour vision; markers, dashes and
labels carry the same without colour. The ground is white, so that a dark page shows them as well.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scisearch.benchmarks.card import MAIN_MEASURE, STAGES, Card

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREEN, _VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
_SKY, _PURPLE, _YELLOW, _GREY = "#56B4E9", "#CC79A7", "#F0E442", "#666666"
_SYSTEMS: Mapping[str, dict[str, Any]] = {
    "bm25": {"color": _BLUE, "marker": "o", "linestyle": "-"},
    "dense": {"color": _ORANGE, "marker": "s", "linestyle": "--"},
    "hybrid": {"color": _GREEN, "marker": "^", "linestyle": "-."},
    "rerank": {"color": _VERMILION, "marker": "D", "linestyle": ":"},
}
_PEER_MARKERS = "vPX*hpd<>8"  # hollow and grey: told apart by shape, as colour is for our systems
_STAGE_COLORS = (_SKY, _BLUE, _ORANGE, _YELLOW, _GREEN, _PURPLE, _VERMILION, _GREY)
_HATCHES = ("", "//", "", "..", "", "\\\\", "", "")
_SHOWN_SHARE = 0.07  # of a bar: a smaller piece has no room for its number


def plots_installed() -> bool:
    """Whether matplotlib, of the extra `plots`, is there."""
    return find_spec("matplotlib") is not None


def draw_plots(card: Card, folder: Path) -> tuple[Path, ...]:
    """The files written into `folder`; a picture without anything to show is left out."""
    title = f"{card['collection']['name']}, {card['collection']['n_queries']} queries"
    drawn = {
        "quality-latency": _quality_latency(card, title),
        "stages": _stages(card, title),
        "recall": _recall(card, title),
    }
    gains = {name: one for name, one in card["systems"].items() if one["quality"]["deltas"]}
    if gains:
        drawn["gains"] = _gains(card, gains, title)
    return tuple(path for name, figure in drawn.items() for path in _saved(figure, folder, name))


def _saved(figure: "Figure", folder: Path, name: str) -> tuple[Path, ...]:
    import matplotlib as mpl

    paths = folder / f"{name}.png", folder / f"{name}.svg"
    # without dates and chance names the same card gives the same bytes
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(paths[0], dpi=150, metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # opens no window, unlike pyplot

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _plain(axes: "Axes", title: str, across: str, up: str) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(visible=True, color="0.9", zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _quality_latency(card: Card, title: str) -> "Figure":
    """A point a system: p50 with a bar to p95, nDCG@10 with its interval."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    peers = card.get("peers", {}).get("systems", {})
    shown = {**card["systems"], **peers}
    figure, axes = _figure(7, 4.2 + 0.16 * len(peers))
    for name, system in shown.items():
        total, quality = system["latency"]["total"], system["quality"]["measures"][MAIN_MEASURE]
        mean, (low, high) = quality["mean"], quality["interval"]
        axes.errorbar(
            total["p50"],
            mean,
            xerr=[[0], [total["p95"] - total["p50"]]],
            yerr=[[mean - low], [high - mean]],
            **_point_style(name, list(peers)),
            markersize=8,
            capsize=3,
            label=f"{name}  {mean:.3f}, {_milliseconds(total['p50'])} ms",
        )
    axes.set_xscale("log")
    axes.margins(y=0.12)
    times = [system["latency"]["total"] for system in shown.values()]
    axes.set_xlim(min(one["p50"] for one in times) / 2, max(one["p95"] for one in times) * 2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low_x, high_x = axes.get_xlim()
    few = high_x / low_x < 100  # few powers of ten: label between them
    axes.xaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: _label_inside(value)) if few else NullFormatter()
    )
    _plain(axes, title, "one query, ms (p50, bar to p95)", f"{MAIN_MEASURE} (95% interval)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _point_style(name: str, peers: Sequence[str]) -> dict[str, Any]:
    if name not in peers:
        style = _SYSTEMS[name]
        return {"fmt": style["marker"], "color": style["color"], "linewidth": 1.4, "zorder": 3}
    marker = _PEER_MARKERS[peers.index(name) % len(_PEER_MARKERS)]
    return {"fmt": marker, "color": _GREY, "markerfacecolor": "white", "linewidth": 0.9}


def _label_inside(value: float) -> str:
    """2, 3 and 5 of each decade: more would run into each other."""
    return f"{value:g}" if f"{value:e}"[0] in "235" else ""


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _stages(card: Card, title: str) -> "Figure":
    """Mean time of each stage of one query, a bar a system, as shares with the total beside."""
    systems = card["systems"]
    figure, axes = _figure(8, 1.6 + 0.55 * len(systems))
    names = list(systems)[::-1]
    left = [0.0] * len(names)
    for stage, color, hatch in zip(STAGES, _STAGE_COLORS, _HATCHES, strict=True):
        times = [systems[name]["latency"]["stages"].get(stage, {}).get("mean", 0) for name in names]
        if not any(times):
            continue
        sums = [_stage_sum(systems[name]) for name in names]
        shares = [time / total for time, total in zip(times, sums, strict=True)]
        bars = axes.barh(
            names, shares, left=left, color=color, hatch=hatch, edgecolor="white", label=stage
        )
        labels = [
            _milliseconds(time) if share > _SHOWN_SHARE else ""
            for time, share in zip(times, shares, strict=True)
        ]
        boxed = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
        for text in axes.bar_label(bars, labels, label_type="center", fontsize=9):
            if text.get_text():
                text.set_bbox(boxed)
        left = [begin + share for begin, share in zip(left, shares, strict=True)]
    for row, name in enumerate(names):
        total = _milliseconds(_stage_sum(systems[name]))
        axes.annotate(
            f"{total} ms", (1, row), xytext=(5, 0), textcoords="offset points", va="center"
        )
    _plain(axes, f"{title}: where the time goes", "share of one query, with mean ms", "")
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def _stage_sum(system: Mapping[str, Any]) -> float:
    return float(sum(one["mean"] for one in system["latency"]["stages"].values()))


def _gains(card: Card, gains: Mapping[str, Any], title: str) -> "Figure":
    """For each system the gain of every query over the system before it, sorted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(gains) + 0.6, 3.4), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, len(gains), sharey=True, squeeze=False)[0]
    for axes, (name, system) in zip(panels, gains.items(), strict=True):
        against = system["quality"]["deltas"]["against"]
        before = card["systems"][against]["quality"]["per_query"]
        values = sorted(
            (v - before[q] for q, v in system["quality"]["per_query"].items()), reverse=True
        )
        places = range(len(values))
        axes.fill_between(
            places, values, 0, step="mid", color=_SYSTEMS[name]["color"], alpha=0.85, linewidth=0
        )
        axes.axhline(0, color="0.3", linewidth=0.8)
        better, worse = sum(v > 0 for v in values), sum(v < 0 for v in values)
        mean = sum(values) / len(values)
        _plain(axes, f"{name} over {against}", "queries, sorted", "")
        axes.set_ylim(-1.05, 1.05)
        axes.text(
            0.97,
            0.97,
            f"mean {mean:+.3f}\n{better} better\n{worse} worse",
            transform=axes.transAxes,
            ha="right",
            va="top",
        )
    panels[0].set_ylabel(f"gain in {MAIN_MEASURE}")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _recall(card: Card, title: str) -> "Figure":
    """Mean recall of each system's list against its depth, with the candidates' depth marked."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = _figure(7, 4)
    for name, points in card["loss"]["recall_by_depth"].items():
        axes.plot(
            *zip(*points, strict=True), label=name, markersize=5, linewidth=1.8, **_SYSTEMS[name]
        )
    depth = card["loss"]["depth"]
    axes.axvline(depth, color="0.55", linewidth=1, zorder=0)
    axes.annotate(
        "candidates",
        (depth, 0),
        xycoords=("data", "axes fraction"),
        xytext=(4, 5),
        textcoords="offset points",
        color="0.35",
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(0, 1.02)
    _plain(axes, title, "hits looked at", "recall (mean over queries)")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure
