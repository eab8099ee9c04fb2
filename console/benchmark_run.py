"""`search benchmark` from its options to the files of its report."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scisearch.console.benchmark import render_summary, render_verification, report_blocks
from scisearch.console.benchmark_options import request_of_options, typed_command
from scisearch.console.blocks import Picture, html_report, markdown_report
from scisearch.console.output import show
from scisearch.console.progress import stderr_progress

if TYPE_CHECKING:
    from scisearch.benchmarks.card import Card


def run_benchmark(collection: str | None, options: dict[str, Any], *, as_json: bool) -> bool:
    """Write card, reports and pictures, and print their summary; true: it is done."""
    from scisearch.benchmarks.benchmark import benchmark
    from scisearch.benchmarks.benchmark_request import DEMO

    plots = options.pop("plots")
    request = request_of_options(collection or DEMO, options)
    card = benchmark(request, progress=stderr_progress())
    write_report(card, request.out, plots=plots)
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
        peer_timeout=options["peer_timeout"],
        search=replace(request.search, **moved),
        command=typed_command(),
    )
    after = benchmark(request, progress=stderr_progress())
    write_report(after, request.out, plots=False)
    found = compare_cards(before, after)
    show(found.to_json() if as_json else found, render_verification, as_json=as_json)
    return found.reproduced


def write_report(card: "Card", out: Path, *, plots: bool) -> None:
    """Write report.md and report.html of a card into `out`, with pictures where they can be drawn.

    Nothing but the card is read.
    """
    inline: dict[str, str] = {}
    if plots:
        from scisearch.benchmarks.plot_style import inline_svg, plots_installed, save_figure

        if plots_installed():
            from scisearch.benchmarks.plots import draw_figures

            for name, figure in draw_figures(card).items():
                save_figure(figure, out, name)
                inline[name] = inline_svg(figure, name, Picture(name).alt)
        else:
            click.echo("no pictures: they need pip install 'scisearch[plots]'", err=True)
    blocks = report_blocks(card, list(inline))
    files = {"report.md": markdown_report(blocks), "report.html": html_report(blocks, inline)}
    for name, text in files.items():
        (out / name).write_bytes(text.encode(errors="backslashreplace"))
