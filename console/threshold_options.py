"""The options of `search threshold`, and what becomes of them."""

from pathlib import Path
from typing import Any

import click

from scisearch.console.options import index_option, options_of, search_config, search_options
from scisearch.console.output import show

threshold_options = options_of(
    index_option,
    click.option(
        "--foreign",
        type=click.Path(path_type=Path),
        metavar="TOPICS",
        help="Queries that it does not answer.  [default: those of the demo]",
    ),
    click.option(
        "--queries",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        help="Of each kind, at most.",
    ),
    search_options,
)


def run_threshold(topics: Path, options: dict[str, Any], *, as_json: bool) -> None:
    """Ask both kinds of query, and print how far probabilities tell them apart.

    Raises:
        ConfigError: the options leave hits without a probability.
        RankingError: topics cannot be read.
    """
    from scisearch.benchmarks.answerability import answerability
    from scisearch.benchmarks.demo import demo_topics
    from scisearch.benchmarks.latency import spread_queries
    from scisearch.console.progress import stderr_progress
    from scisearch.console.threshold import render_answerability
    from scisearch.index.errors import ConfigError
    from scisearch.retrieval.topics import read_topics

    index, foreign, most = (options.pop(name) for name in ("index", "foreign", "queries"))
    if options.pop("filters"):
        raise ConfigError("--filter: found with threshold, which searches the whole index")
    if options["min_probability"] is not None:
        raise ConfigError("--min-probability: is what threshold chooses; leave it out")
    report = answerability(
        index,
        spread_queries(read_topics(topics), most),
        spread_queries(demo_topics() if foreign is None else read_topics(foreign), most),
        search_config(10, options),
        progress=stderr_progress(),
    )
    show(report, render_answerability, as_json=as_json)
