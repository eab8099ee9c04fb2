"""The options of `search fit-reranker`, and what becomes of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scisearch.console.collection_options import PLACES, ignore_option
from scisearch.console.options import model_options, options_of, runtime_option
from scisearch.console.output import show

if TYPE_CHECKING:
    from scisearch.benchmarks.reranker_fit import FitOptions

fitting_options = options_of(
    click.option(
        "--dev",
        multiple=True,
        required=True,
        metavar="COLLECTION",
        help=f"{PLACES}, that MODEL was not trained on.",
    ),
    ignore_option,
    click.option("--choose-weight", is_flag=True, help="Also its weight against the first stages."),
    click.option(
        "--no-dense",
        is_flag=True,
        help="The weight for indexes without vectors (beside BM25 alone), and nothing else.",
    ),
    click.option("--calibrate", is_flag=True, help="Also the probabilities of its scores."),
    click.option("--queries", default=200, show_default=True, help="Of each collection, at most."),
    click.option(
        "--indexes",
        type=click.Path(path_type=Path),
        help="Where the collections' indexes are kept.",
    ),
    click.option("--encoder", help="Bi-encoder of the indexes: hub id, folder or built-in name."),
    model_options,
    runtime_option,
)


def run_fit(model: Path, dev: tuple[str, ...], options: dict[str, Any], *, as_json: bool) -> None:
    """Fit, keep what was chosen with the model, and print it."""
    from scisearch.benchmarks.reranker_fit import fit_reranker
    from scisearch.console.training import render_fit

    fit = fit_reranker(model, dev, _fit_options(options))
    show(fit.to_json() if as_json else fit, render_fit, as_json=as_json)


def _fit_options(options: dict[str, Any]) -> "FitOptions":
    """How a finished cross-encoder is fitted."""
    from scisearch.benchmarks.reranker_fit import FitOptions
    from scisearch.console.progress import stderr_progress
    from scisearch.rerank.search_config import SearchConfig

    names = ("encoder", "device", "offline", "runtime")
    return FitOptions(
        choose_weight=options["choose_weight"],
        vectors=not options["no_dense"],
        calibrate=options["calibrate"],
        queries=options["queries"],
        search=SearchConfig(**{name: options[name] for name in names}),
        indexes=options["indexes"],
        ignore=options["ignore"],
        progress=stderr_progress(),
    )
