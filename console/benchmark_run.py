"""`search benchmark` from its options to the files of its report."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scisearch.console.benchmark import render_report, render_summary, render_verification
from scisearch.console.benchmark_options import request_of_options, typed_command
from scisearch.console.output import show
from scisearch.console.progress import TerminalProgress

if TYPE_CHECKING:
    from scisearch.benchmarks.card import Card


def run_benchmark(collection: str | None, options: dict[str, Any], *, as_json: bool) -> bool:
    """Write card, report.md and pictures, and print their summary; true: it is done."""
    from scisearch.benchmarks.benchmark import benchmark
    from scisearch.benchmarks.benchmark_request import DEMO

    plots = options.pop("plots")
    request = request_of_options(collection or DEMO, options)
    card = benchmark(request, progress=TerminalProgress())
    _write_report(card, request.out, plots=plots)
    show(card, lambda made: render_summary(made, request.out), as_json=as_json)
    return True


def verify_benchmark(
    path: Path, collection: str | None, options: dict[str, Any], *, as_json: bool
) -> bool:
    """Print what changed since the card at `path`, and tell whether its quality is reproduced.

    Collection, index and model folders may be elsewhere now.
    """
    from scisearch.benchmarks.benchmark import benchmark
    from scisearch.benchmarks.benchmark_request import request_of
    from scisearch.benchmarks.card import read_card
    from scisearch.benchmarks.card_verification import compare_cards

    before = read_card(path)
    request = request_of(before, options["out"] or path.parent / "verify")
    moved = {name: options[name] for name in ("encoder", "reranker") if options[name] is not None}
    request = replace(
        request,
        collection=collection or request.collection,
        ignore=options["ignore"] or request.ignore,
        index=options["index"],
        search=replace(request.search, **moved),
        command=typed_command(),
    )
    after = benchmark(request, progress=TerminalProgress())
    _write_report(after, request.out, plots=False)
    found = compare_cards(before, after)
    show(found.to_json() if as_json else found, render_verification, as_json=as_json)
    return found.reproduced


def _write_report(card: "Card", out: Path, *, plots: bool) -> None:
    pictures: list[str] = []
    if plots:
        from scisearch.benchmarks.plots import draw_plots, plots_installed

        if plots_installed():
            pictures = [path.name for path in draw_plots(card, out) if path.suffix == ".png"]
        else:
            click.echo("no pictures: they need pip install 'scisearch[plots]'", err=True)
    text = render_report(card, pictures)
    (out / "report.md").write_bytes(text.encode(errors="backslashreplace"))
