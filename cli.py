"""The `search` command: what may I type? Options in, one call, print."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from scisearch.benchmarks.commands import Commands
from scisearch.console.benchmark_options import benchmark_options
from scisearch.console.blas import rest_idle_threads
from scisearch.console.fitting_options import fitting_options, run_fit
from scisearch.console.options import (
    build_config,
    build_options,
    index_option,
    json_option,
    search_config,
    search_options,
)
from scisearch.console.output import show, show_json
from scisearch.console.threshold_options import run_threshold, threshold_options
from scisearch.console.training_options import run_training, train_options
from scisearch.console.tuning_options import run_tuning, tuning_options


@click.group(cls=Commands)
@click.version_option(package_name="scisearch")
def main() -> None:
    """Search scientific literature: retrieve, then rerank."""
    rest_idle_threads()


@main.command("build-index")
@click.argument("corpus", type=click.Path(path_type=Path))
@index_option
@build_options
@json_option
def build_index_command(corpus: Path, index: Path, as_json: bool, **options: Any) -> None:
    """Index CORPUS: a Parquet, JSONL, CSV or TSV file, or a BEIR folder.

    The index that was there answers until the new one is ready. An interrupted build is continued
    by the same command.
    """
    from scisearch.console.index import render_build
    from scisearch.console.progress import stderr_progress
    from scisearch.index.builder import build_index
    from scisearch.rerank.open_stage import prepare_built_in

    config = build_config(options)
    report = build_index(corpus, index, config, progress=stderr_progress())
    if config.encoder is not None and config.runtime != "torch":
        prepare_built_in(config.device)
    show(report, render_build, as_json=as_json)


@main.command()
@click.argument("text", required=False)
@index_option
@click.option("--cutoff", default=10, show_default=True, help="Hits shown.")
@search_options
@click.option("--explain", is_flag=True, help="Show what each stage gave each document.")
@json_option
def query(
    text: str | None,
    index: Path,
    cutoff: int,
    filters: tuple[str, ...],
    explain: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Search for TEXT; without it, read queries from a prompt or, line by line, from stdin."""
    from scisearch.console.prompt import queries
    from scisearch.console.results import render_result
    from scisearch.pipeline import SearchPipeline

    pipeline = SearchPipeline.open(index, search_config(cutoff, options, shows_top=True))
    if text is None:
        pipeline.warm_up()
    for one in queries(text):
        result = pipeline.search(one, filters=filters)
        if as_json:
            show_json(result.to_json(explain=explain), indent=2 if text is not None else None)
        else:
            click.echo(render_result(result, explain=explain, styled=sys.stdout.isatty()))


@main.command()
@click.argument("topics", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="The run file."
)
@index_option
@click.option("--cutoff", default=100, show_default=True, help="Hits of each topic.")
@search_options
@click.option("--tag", default="scisearch", show_default=True, help="The run's sixth column.")
@click.option("--batch", default=32, show_default=True, help="Topics searched together.")
@click.option(
    "--topic-field",
    "fields",
    multiple=True,
    help="A part of each topic that makes the query, e.g. title; may be repeated.",
)
@json_option
def run(
    topics: Path,
    output: Path,
    index: Path,
    cutoff: int,
    filters: tuple[str, ...],
    tag: str,
    batch: int,
    fields: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Search all TOPICS (TSV, JSONL, TREC XML or SGML) and write a TREC run.

    An interrupted run is continued by the same command.
    """
    from scisearch.benchmarks.run_file import write_run_file
    from scisearch.console.progress import stderr_progress
    from scisearch.console.runs import render_run
    from scisearch.pipeline import SearchPipeline
    from scisearch.retrieval.topics import read_topics

    found = read_topics(topics, fields or None)
    pipeline = SearchPipeline.open(index, search_config(cutoff, options))
    report = write_run_file(
        pipeline,
        found,
        output,
        tag=tag,
        filters=filters,
        batch=batch,
        progress=stderr_progress(),
    )
    show(report, render_run, as_json=as_json)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("qrels", type=click.Path(path_type=Path))
@click.option("--measure", "measures", multiple=True, help="Any ir_measures name; may be repeated.")
@click.option("--per-query", is_flag=True, help="Show every query.")
@click.option(
    "--index",
    envvar="SEARCH_INDEX",
    type=click.Path(path_type=Path),
    help="Check document ids against this index.",
)
@click.option(
    "--ignore",
    type=click.Path(path_type=Path),
    help="Pairs 'query_id doc_id' that are dropped from the runs.",
)
@json_option
def evaluate(
    runs: tuple[Path, ...],
    qrels: Path,
    measures: tuple[str, ...],
    per_query: bool,
    index: Path | None,
    ignore: Path | None,
    as_json: bool,
) -> None:
    """Evaluate RUNS against QRELS; several runs are compared with the first, with significance."""
    from scisearch.benchmarks.evaluation import evaluate_files
    from scisearch.console.tables import render_comparison

    comparison = evaluate_files(runs, qrels, measures=measures, index=index, ignore=ignore)
    if as_json:
        show_json(comparison.to_json(per_query=per_query))
    else:
        click.echo(render_comparison(comparison, per_query=per_query))


@main.command("benchmark")
@click.argument("collection", required=False)
@benchmark_options
@json_option
def benchmark_command(
    collection: str | None, card: Path | None, as_json: bool, **options: Any
) -> None:
    """Measure quality and latency on COLLECTION, and say which stage to fix.

    COLLECTION is a folder with corpus, queries and qrels (also BEIR), `demo`, the default, or an
    id of ir_datasets such as beir/scifact/test. An interrupted benchmark is continued by the same
    command.
    """
    from scisearch.console.benchmark_run import run_benchmark, verify_benchmark

    run = run_benchmark if card is None else partial(verify_benchmark, card)
    if not run(collection, options, as_json=as_json):
        raise SystemExit(1)


@main.command("tune")
@click.argument("collection")
@tuning_options
@json_option
def tune_command(collection: str, as_json: bool, **options: Any) -> None:
    """Choose stages and settings on the judgements of COLLECTION, and write a config.

    COLLECTION is a folder with corpus, queries and qrels (also BEIR), `demo`, or an id of
    ir_datasets. Fusion, depths and the cross-encoder's weight are chosen; a stage that does not pay
    for itself on held-out queries is refused.
    """
    run_tuning(collection, options, as_json=as_json)


@main.command("train")
@click.argument("lists", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="The model's folder."
)
@train_options
@json_option
def train_command(lists: tuple[Path, ...], output: Path, as_json: bool, **options: Any) -> None:
    """Train a cross-encoder of your own on LISTS, and write its card.

    LISTS are JSONL (also gzipped) or Parquet files of {"query", "positive": [..], "negative": [..]}
    or of pairs {"query", "text", "label"}. An interrupted training is continued by the same
    command. Exit code 1 where the model loses on a collection it is judged on.
    """
    if not run_training(lists, output, options, as_json=as_json):
        raise SystemExit(1)


@main.command("fit-reranker")
@click.argument("model", type=click.Path(path_type=Path))
@fitting_options
@json_option
def fit_reranker_command(model: Path, dev: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Fit on dev collections when --rerank auto may stop with MODEL, a cross-encoder's folder.

    What is chosen is kept in MODEL/scisearch.json. Scores come from the score cache where they are
    known, so that an interrupted fit continues.
    """
    run_fit(model, dev, options, as_json=as_json)


@main.command("threshold")
@click.argument("topics", type=click.Path(path_type=Path))
@threshold_options
@json_option
def threshold_command(topics: Path, as_json: bool, **options: Any) -> None:
    """Choose a --min-probability for an index that answers TOPICS.

    Its best probabilities are compared with those of queries that it does not answer, asked with
    the same options.
    """
    run_threshold(topics, options, as_json=as_json)


@main.command()
@index_option
@json_option
def info(index: Path, as_json: bool) -> None:
    """Tell what an index is made of."""
    from scisearch.console.index import render_description
    from scisearch.index.description import describe
    from scisearch.index.opened import open_index

    show(describe(open_index(index)), render_description, as_json=as_json)


@main.command()
@index_option
@json_option
def verify(index: Path, as_json: bool) -> None:
    """Check every file of an index against its checksum; exit 1 where one differs."""
    from scisearch.console.index import render_checks
    from scisearch.index.verification import verify_index

    checks = verify_index(index)
    show(checks, render_checks, as_json=as_json)
    if not checks.sound:
        raise SystemExit(1)


@main.command()
@click.argument("folder", default="demo", type=click.Path(path_type=Path))
@json_option
def demo(folder: Path, as_json: bool) -> None:
    """Write the demo collection into FOLDER: corpus.parquet, topics.tsv and qrels.txt."""
    from scisearch.benchmarks.demo import write_demo
    from scisearch.console.index import render_demo

    show(write_demo(folder), render_demo, as_json=as_json)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL; its manual says where such scripts go."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    if script is not None:
        click.echo(script(main, {}, "search", "_SEARCH_COMPLETE").source())


if __name__ == "__main__":
    main()
