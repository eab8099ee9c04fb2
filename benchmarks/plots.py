"""The pictures of a benchmark card: drawn from the card alone, so that any card will do."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scisearch.benchmarks.card import MAIN_MEASURE, STAGES, Card
from scisearch.benchmarks.plot_style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    GROUND,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    new_figure,
    plain,
    system_style,
)
from scisearch.rerank.reliability import N_BINS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STAGE_COLORS = (SKY, BLUE, ORANGE, YELLOW, GREEN, PURPLE, VERMILION, GREY)
_HATCHES = ("", "//", "", "..", "", "\\\\", "", "")
_SHOWN_SHARE = 0.07  # of a bar: a smaller piece has no room for its number
_GAIN_COLUMNS = 3
_NORMAL_95 = 1.96


def draw_figures(card: Card) -> "dict[str, Figure]":
    """Name -> figure; a picture without anything to show is left out."""
    title = f"{card['collection']['name']}, {card['collection']['n_queries']} queries"
    drawn = {
        "quality-latency": _quality_latency(card, title),
        "stages": _stages(card, title),
        "recall": _recall(card, title),
    }
    gains = {name: one for name, one in card["systems"].items() if one["quality"]["deltas"]}
    if gains:
        drawn["gains"] = _gains(card, gains, title)
    curves = (one["reliability"] for one in card["systems"].values())
    found = next(filter(None, curves), None)
    if found is not None:
        drawn["reliability"] = _reliability(found, title)
    return drawn


def _quality_latency(card: Card, title: str) -> "Figure":
    """A point a system: p50 with a bar from p5 to p95, nDCG@10 with its interval."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    peers = card.get("peers", {}).get("systems", {})
    shown = {**card["systems"], **peers}
    figure, axes = new_figure(7, 4.4 + 0.16 * len(peers))
    for name, system in shown.items():
        total, quality = system["latency"]["total"], system["quality"]["measures"][MAIN_MEASURE]
        mean, (low, high) = quality["mean"], quality["interval"]
        style = system_style(name, shown)
        axes.errorbar(
            total["p50"],
            mean,
            xerr=[[total["p50"] - total["p5"]], [total["p95"] - total["p50"]]],
            yerr=[[mean - low], [high - mean]],
            fmt=style["marker"],
            color=style["color"],
            markerfacecolor=GROUND if name in peers else style["color"],
            linewidth=0.9 if name in peers else 1.4,
            zorder=2 if name in peers else 3,
            markersize=8,
            capsize=3,
            label=f"{name}  {mean:.3f}, {_milliseconds(total['p50'])} ms",
        )
    axes.set_xscale("log")
    axes.margins(y=0.12)
    times = [system["latency"]["total"] for system in shown.values()]
    axes.set_xlim(min(one["p5"] for one in times) / 1.5, max(one["p95"] for one in times) * 1.5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low_x, high_x = axes.get_xlim()
    few = high_x / low_x < 100  # few powers of ten: label between them
    axes.xaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: _label_inside(value)) if few else NullFormatter()
    )
    plain(axes, title, "one query, ms (p50; bar: p5 to p95)", f"{MAIN_MEASURE} (95% interval)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _label_inside(value: float) -> str:
    """2, 3 and 5 of each decade: more would run into each other."""
    return f"{value:g}" if f"{value:e}"[0] in "235" else ""


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _stages(card: Card, title: str) -> "Figure":
    """Mean time of each stage of one query, a bar a system, as shares with the total beside."""
    systems = card["systems"]
    figure, axes = new_figure(8, 1.8 + 0.55 * len(systems))
    names = list(systems)[::-1]
    sums = [_stage_sum(systems[name]) for name in names]
    left = [0.0] * len(names)
    for stage, color, hatch in zip(STAGES, _STAGE_COLORS, _HATCHES, strict=True):
        times = [systems[name]["latency"]["stages"].get(stage, {}).get("mean", 0) for name in names]
        if not any(times):
            continue
        shares = [time / total for time, total in zip(times, sums, strict=True)]
        bars = axes.barh(
            names, shares, left=left, color=color, hatch=hatch, edgecolor=GROUND, label=stage
        )
        labels = [
            _milliseconds(time) if share > _SHOWN_SHARE else ""
            for time, share in zip(times, shares, strict=True)
        ]
        boxed = {"boxstyle": "round,pad=0.15", "facecolor": GROUND, "edgecolor": "none"}
        for text in axes.bar_label(bars, labels, label_type="center", fontsize=9):
            if text.get_text():
                text.set_bbox(boxed)
        left = [begin + share for begin, share in zip(left, shares, strict=True)]
    _totals(axes, sums)
    plain(axes, f"{title}: where the time goes", "share of one query, with mean ms", "")
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def _totals(axes: "Axes", sums: Sequence[float]) -> None:
    for row, total in enumerate(sums):
        axes.annotate(
            f"{_milliseconds(total)} ms",
            (1, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )


def _stage_sum(system: Mapping[str, Any]) -> float:
    return float(sum(one["mean"] for one in system["latency"]["stages"].values()))


def _gains(card: Card, gains: Mapping[str, Any], title: str) -> "Figure":
    """For each system the gain of every query over the system before it, sorted."""
    from matplotlib.figure import Figure

    columns = min(_GAIN_COLUMNS, len(gains))
    rows = -(-len(gains) // columns)
    figure = Figure(figsize=(2.9 * columns + 0.6, 3.2 * rows), layout="constrained")
    panels: Sequence[Axes] = (
        figure.subplots(rows, columns, sharey=True, squeeze=False).ravel().tolist()
    )
    for axes, (name, system) in zip(panels, gains.items(), strict=False):
        _gain_panel(axes, name, system, card)
    for axes in panels[len(gains) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel(f"gain in {MAIN_MEASURE}")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _gain_panel(axes: "Axes", name: str, system: Mapping[str, Any], card: Card) -> None:
    against = system["quality"]["deltas"]["against"]
    before = card["systems"][against]["quality"]["per_query"]
    values = sorted(
        (v - before[q] for q, v in system["quality"]["per_query"].items()), reverse=True
    )
    color = system_style(name, card["systems"])["color"]
    axes.fill_between(range(len(values)), values, 0, step="mid", color=color, linewidth=0)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    better, worse = sum(v > 0 for v in values), sum(v < 0 for v in values)
    mean = sum(values) / len(values)
    plain(axes, f"{name} over {against}", "queries, sorted", "")
    axes.set_ylim(-1.05, 1.05)
    axes.text(
        0.97,
        0.97,
        f"mean {mean:+.3f}\n{better} better\n{worse} worse",
        transform=axes.transAxes,
        ha="right",
        va="top",
    )


def _recall(card: Card, title: str) -> "Figure":
    """Mean recall of each system's list against its depth, with the candidates' depth marked."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = new_figure(7, 4.2)
    curves = card["loss"]["recall_by_depth"]
    for name, points in curves.items():
        style = system_style(name, card["systems"])
        axes.plot(*zip(*points, strict=True), label=name, markersize=5, linewidth=1.8, **style)
    depth = card["loss"]["depth"]
    axes.axvline(depth, color=FAINT, linewidth=1, zorder=0)
    axes.annotate(
        "candidates",
        (depth, 0),
        xycoords=("data", "axes fraction"),
        xytext=(4, 5),
        textcoords="offset points",
        color=FAINT,
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(0, 1.02)
    plain(axes, title, "hits looked at", "recall (mean over queries)")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def _reliability(found: Mapping[str, Any], title: str) -> "Figure":
    """What was said against what came true, in bins of equal width, and how many pairs each has."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(5.4, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = found["equal_width"]["bins"]
    said = [one["probability"] for one in bins]
    true = [one["positive_share"] for one in bins]
    bounds = [_wilson(one["positive_share"], one["n"]) for one in bins]
    around = [
        [share - low for share, (low, _) in zip(true, bounds, strict=True)],
        [high - share for share, (_, high) in zip(true, bounds, strict=True)],
    ]
    above.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as it says")
    label = f"ECE {found['ece']:.3f}, Brier {found['brier']:.3f}"
    above.errorbar(
        said, true, yerr=around, color=VERMILION, marker="D", capsize=3, linewidth=1.4, label=label
    )
    plain(above, title, "", "share of relevant pairs")
    above.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    above.legend(loc="upper left", frameon=False)
    # empty bins are left out, so where one stands is told by its least probability
    middles = [(min(int(one["low"] * N_BINS), N_BINS - 1) + 0.5) / N_BINS for one in bins]
    below.bar(middles, [one["n"] for one in bins], 0.8 / N_BINS, color=BLUE)
    below.set_yscale("log")
    below.yaxis.set_minor_locator(NullLocator())
    plain(below, "", "predicted probability", "pairs")
    return figure


def _wilson(share: float, n: int) -> tuple[float, float]:
    """The 95% interval of a share of n (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""
    square = _NORMAL_95**2
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = _NORMAL_95 / (1 + square / n) * (share * (1 - share) / n + square / (4 * n * n)) ** 0.5
    return min(share, centre - half), max(share, centre + half)
