"""The options of `search tune`, and what becomes of them."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scisearch.console.benchmark_options import collection_options, typed_command
from scisearch.console.options import model_options, options_of, reranker_option, runtime_option
from scisearch.console.output import show
from scisearch.console.progress import stderr_progress

if TYPE_CHECKING:
    from scisearch.benchmarks.tuning import TuningRequest

_PATH = click.Path(path_type=Path)


def _numbers(value: str) -> tuple[int, ...]:
    """Whole numbers such as 20,50,100."""
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}; expected whole numbers such as 20,50,100") from error


tuning_options = options_of(
    click.option(
        "--output",
        "-o",
        type=_PATH,
        default="tuned.toml",
        show_default=True,
        help="The config, for --config of query, run and benchmark.",
    ),
    collection_options,
    click.option(
        "--work",
        type=_PATH,
        default="tune",
        show_default=True,
        help="A folder that keeps the index, and what the cross-encoder scored.",
    ),
    click.option(
        "--index", type=_PATH, help="The collection's index; by default one is built in --work."
    ),
    click.option(
        "--depths",
        type=_numbers,
        metavar="LIST",
        help="Hits of each first stage to try.  [default: 20,50,100,200,500,1000]",
    ),
    click.option(
        "--rerank-depths",
        type=_numbers,
        metavar="LIST",
        help="Reranked hits to try.  [default: 20,50,100]",
    ),
    click.option(
        "--folds",
        type=click.IntRange(min=2),
        default=5,
        show_default=True,
        help="Parts of the queries, each held out in turn.",
    ),
    click.option("--seed", type=int, help="Of the folds."),
    click.option(
        "--proof",
        type=click.Choice(["interval", "mean"]),
        default="interval",
        show_default=True,
        help="What of a stage's held-out gain must be above 0: its 95% interval, or its mean.",
    ),
    click.option(
        "--reranking/--no-reranking",
        default=True,
        show_default=True,
        help="Also score candidates with the cross-encoder, which takes its time.",
    ),
    reranker_option,
    click.option("--encoder", help="Bi-encoder: hub id, folder or built-in name."),
    model_options,
    runtime_option,
)


def run_tuning(collection: str, options: dict[str, Any], *, as_json: bool) -> None:
    """Tune, write the config, and print what was found."""
    from scisearch.benchmarks.tuning import tune
    from scisearch.console.tuning import config_comments, render_tuning
    from scisearch.rerank.config_file import write_config

    output = options.pop("output")
    report = tune(_request(collection, options), progress=stderr_progress())
    comments = config_comments(report, shlex.join(typed_command()))
    write_config(output, report.settings, comments=comments)
    show(
        {**report.to_json(), "config": str(output)} if as_json else report,
        lambda found: render_tuning(found, output),
        as_json=as_json,
    )


def _request(collection: str, options: dict[str, Any]) -> "TuningRequest":
    from scisearch.benchmarks.significance import SEED
    from scisearch.benchmarks.tuning import TuningRequest
    from scisearch.rerank.search_config import SearchConfig

    names = ("reranker", "encoder", "device", "offline", "runtime")
    models = {name: options.pop(name) for name in names}
    seed = options.pop("seed")
    return TuningRequest(
        collection, search=SearchConfig(**models), seed=SEED if seed is None else seed, **options
    )
