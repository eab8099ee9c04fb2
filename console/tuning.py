"""What `search tune` found, for a reader and as the comments of the config it writes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scisearch.benchmarks.cross_validation import Gain, Verdict
from scisearch.benchmarks.tuning_report import TunedSystem, TuningReport
from scisearch.console.tables import Table

_RULES = {
    "interval": (
        "A fuller system costs time for every query, so it must prove its gain: it is taken if the"
        " whole 95%\ninterval of its gain over every simpler one lies above 0 (--proof mean: if"
        " the mean does)."
    ),
    "mean": (
        "A fuller system is taken if its mean gain over every simpler one is above 0, also where"
        " chance could\nexplain it (--proof interval: if the whole 95% interval is)."
    ),
}


def render_tuning(report: TuningReport, config: Path) -> str:
    """The systems, the verdicts, the choice and what to expect of it."""
    facts = report.facts
    return "\n\n".join(
        [
            f"{facts['collection']}: {facts['n_documents']:,} documents, {report.n_queries}"
            f" queries; nDCG@10 by nested cross-validation, {facts['folds']} folds, seed"
            f" {facts['seed']}",
            _systems_table(report).plain(),
            "Held out: each query is ranked with the setting that other queries choose. The best"
            " setting\nof all queries is used where that helps on held-out ones, else the default.",
            _verdicts_table(report).plain(),
            _RULES[facts["proof"]],
            "\n".join(_refusals(report)),
            "\n".join(_choice(report)),
            _expected_table(report).plain(),
            f"{config} is written: search query --config {config}, also run and benchmark",
        ]
    )


def config_comments(report: TuningReport, command: str) -> list[str]:
    """What the config file says of itself."""
    gain = report.gains[report.fullest]
    against = "as" if _same(gain) else f"{gain.mean:+.4f} ({_interval(gain)}) against"
    return [
        f"Written by: {command}",
        f"{report.facts['collection']}, {report.n_queries} queries: nDCG@10"
        f" {report.expected.mean:.4f} expected, {against} {report.fullest} with default settings.",
        *_refusals(report),
    ]


def _systems_table(report: TuningReport) -> Table:
    rows = [
        [
            name,
            _setting(one.settings),
            f"{one.default.mean:.4f}",
            *_held_out_cells(one),
        ]
        for name, one in report.systems.items()
    ]
    header = [
        "nDCG@10",
        "best setting",
        "default",
        "tuned, held out",
        "gain",
        "95% interval",
        "use",
    ]
    return Table(header, rows, n_left=2)


def _held_out_cells(one: TunedSystem) -> list[str]:
    """Empty where a system has nothing to tune."""
    if len(one.settings) == 1 or "depth" not in one.settings:
        return [""] * 4
    cells = [f"{one.held_out.mean:.4f}", f"{one.gain.mean:+.4f}", _interval(one.gain)]
    return [*cells, "tuned" if one.tuned else "default"]


def _verdicts_table(report: TuningReport) -> Table:
    rows = [
        [
            one.system,
            one.over,
            f"{one.gain.mean:+.4f}",
            _interval(one.gain),
            "pays" if one.pays else "does not pay",
        ]
        for one in report.verdicts
    ]
    return Table(["system", "over", "gain", "95% interval", "verdict"], rows, n_left=2)


def _refusals(report: TuningReport) -> Iterator[str]:
    """A line for each refused system that is fuller than the chosen one, or that was passed by."""
    for system in report.refused:
        against = [one for one in report.verdicts if one.system == system and not one.pays]
        yield f"{system} is refused: {'; '.join(map(_reason, against))}."
    if not report.refused:
        yield "No system is refused."


def _reason(verdict: Verdict) -> str:
    gain = verdict.gain
    if gain.mean <= 0:
        return f"it loses {-gain.mean:.4f} against {verdict.over} ({_interval(gain)})"
    return (
        f"its gain of {gain.mean:.4f} over {verdict.over} may be chance ({_interval(gain)}); more"
        " judged queries could tell"
    )


def _choice(report: TuningReport) -> Iterator[str]:
    tuned = report.systems[report.system].tuned
    setting = _setting(report.settings)
    yield (
        f"Chosen: {report.system}"
        + (f", {setting}" if setting else "")
        + ("" if tuned or not setting else ": the default settings")
    )
    yield (
        "Expected on new queries of this kind: nDCG@10"
        f" {report.expected.mean:.4f} ({_interval(report.expected, sign=False)})"
    )


def _expected_table(report: TuningReport) -> Table:
    rows = [
        [
            f"{name}, default settings",
            *(["the same", ""] if _same(gain) else [f"{gain.mean:+.4f}", _interval(gain)]),
            "what is used without a config" if name == report.fullest else "",
        ]
        for name, gain in report.gains.items()
    ]
    return Table(["expected gain over", "nDCG@10", "95% interval", ""], rows)


def _same(gain: Gain) -> bool:
    return gain.mean == gain.low == gain.high == 0


def _setting(settings: Mapping[str, Any]) -> str:
    """The numbers of a system in words."""
    parts: list[str] = []
    if settings.get("fusion") == "convex":
        parts.append(f"convex, dense weight {settings['dense_weight']:g}")
        if settings["dense_span"]:
            parts.append(f"span {settings['dense_span']:g}")
    elif settings.get("fusion") == "rrf":
        parts.append(f"RRF, k {settings['rrf_k']:g}")
    if settings.get("neighbour_weight"):
        parts.append(f"neighbours {settings['neighbour_weight']:g}")
    if "fusion" in settings:
        parts.append(f"depth {settings['depth']}")
    if "rerank_depth" in settings:
        parts += _reranking(settings)
    return ", ".join(parts)


def _reranking(settings: Mapping[str, Any]) -> Iterator[str]:
    weighed = "the model's own weight"  # which depends on the query, so that no config can say it
    if "rerank_weight" in settings:
        weighed = f"weight {settings['rerank_weight']:g} ({settings['rerank_normalisation']})"
    yield f"{settings['rerank_depth']} reranked, {weighed}"
    if settings["phrase_weight"]:
        yield f"phrases {settings['phrase_weight']:g}"


def _interval(gain: Gain, *, sign: bool = True) -> str:
    form = "+.4f" if sign else ".4f"
    return f"{gain.low:{form}} to {gain.high:{form}}"
