"""The options of `search threshold`, and what becomes of them."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from scisearch.console.benchmark_options import typed_command
from scisearch.console.options import (
    given_settings,
    index_option,
    options_of,
    search_config,
    search_options,
)
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
    click.option(
        "--output",
        "-o",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Keep the options given here and the threshold, for --config of query and run.",
    ),
    click.option(
        "--refuse",
        type=click.Choice(["0.8", "0.9", "0.95", "0.99"]),
        default="0.95",
        show_default=True,
        help="With --output: the share of the other queries that shall find nothing.",
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
    from scisearch.console.threshold import kept_comments, render_answerability
    from scisearch.index.errors import ConfigError
    from scisearch.rerank.config_file import write_config
    from scisearch.retrieval.topics import read_topics

    index, foreign, most = (options.pop(name) for name in ("index", "foreign", "queries"))
    output, refuse = options.pop("output"), float(options.pop("refuse"))
    if options.pop("filters"):
        raise ConfigError("--filter: found with threshold, which searches the whole index")
    if options["min_probability"] is not None:
        raise ConfigError("--min-probability: is what threshold chooses; leave it out")
    kept = given_settings(options)
    report = answerability(
        index,
        spread_queries(read_topics(topics), most),
        spread_queries(demo_topics() if foreign is None else read_topics(foreign), most),
        search_config(10, options),
        progress=stderr_progress(),
    )
    if output is not None:
        chosen = report.refusing(refuse)
        settings = {**kept, "mode": "rerank", "min_probability": chosen.probability}
        comments = kept_comments(report, chosen, shlex.join(typed_command()))
        write_config(output, settings, comments=comments)
    show(
        {**asdict(report), "config": str(output)} if as_json and output is not None else report,
        lambda found: render_answerability(found, output),
        as_json=as_json,
    )
