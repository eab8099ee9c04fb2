"""The options of `search benchmark`, and what becomes of them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scisearch.console.options import (
    model_options,
    options_of,
    ranking_options,
    runtime_option,
    search_config,
)

if TYPE_CHECKING:
    from scisearch.benchmarks.benchmark_request import BenchmarkRequest

_PATH = click.Path(path_type=Path)

collection_options = options_of(  # by which judgements, and by which rules
    click.option("--split", help="Whose judgements, where there are several: train, test."),
    click.option(
        "--ignore",
        type=_PATH,
        help="Pairs 'query_id doc_id' that are left out of the judgements and of every run.",
    ),
    click.option(
        "--judged-pool",
        is_flag=True,
        help="Each query ranks only the documents judged for it; the task is to re-rank a pool.",
    ),
)
benchmark_options = options_of(
    click.option(
        "--systems",
        metavar="LIST",
        help="Some of bm25,dense,hybrid,fast,rerank; by default all modes that the index allows;"
        " fast reranks with the small built-in cross-encoder.",
    ),
    collection_options,
    click.option(
        "--peers",
        is_flag=False,
        flag_value="all",
        metavar="[LIST]",
        help="After COLLECTION: also run other libraries, all or some of bm25s,tantivy,...; each in"
        " its own process; extra `peers`.",
    ),
    click.option(
        "--peer-timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=1800.0,
        show_default=True,
        help="Seconds a peer has for its index, and for each query.",
    ),
    click.option(
        "--out", type=_PATH, help="The folder of the report.  [default: report, or CARD's verify]"
    ),
    click.option(
        "--index", type=_PATH, help="The collection's index; by default one is built in --out."
    ),
    click.option(
        "--no-dense",
        "dense",
        flag_value=False,
        default=True,
        help="Build the index without vectors: rerank then reorders what BM25 found.",
    ),
    click.option(
        "--latency-queries",
        type=click.IntRange(min=1),
        default=200,
        show_default=True,
        help="Queries searched one at a time, at most; quality is always over all.",
    ),
    click.option(
        "--cold-start/--no-cold-start",
        "cold_starts",
        default=True,
        help="Time a fresh command of each system.",
    ),
    click.option("--plots/--no-plots", default=True, help="Draw pictures; extra `plots`."),
    ranking_options,
    click.option("--encoder", help="Bi-encoder: hub id, folder or built-in name."),
    click.option(
        "--verify",
        "card",
        type=_PATH,
        metavar="CARD",
        help="Run the benchmark of this card.json again, tell what changed; exit 1 if quality did."
        " Settings are the card's; COLLECTION, --index, --encoder, --reranker may be moved.",
    ),
    model_options,
    runtime_option,
)


def request_of_options(collection: str, options: dict[str, Any]) -> "BenchmarkRequest":
    """The options as a request; they are used up."""
    from scisearch.benchmarks.benchmark_request import BenchmarkRequest
    from scisearch.benchmarks.peers.catalogue import parse_peers
    from scisearch.benchmarks.system_names import parse_systems

    names = (
        *("split", "ignore", "judged_pool", "index", "dense"),
        *("latency_queries", "cold_starts", "peer_timeout"),
    )
    own = {name: options.pop(name) for name in names}
    systems, out, peers = (options.pop(name) for name in ("systems", "out", "peers"))
    return BenchmarkRequest(
        out=out or Path("report"),
        collection=collection,
        systems=parse_systems(systems) if systems is not None else None,
        search=search_config(10, options),
        peers=parse_peers(peers) if peers is not None else (),
        command=typed_command(),
        **own,
    )


def typed_command() -> tuple[str, ...]:
    """The command line as it was typed."""
    return ("search", *sys.argv[1:])
