"""The `search` command: what may I type? Options in, one call, print."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scisearch.index.errors import ScisearchError

if TYPE_CHECKING:
    from scisearch.index.builder import BuildConfig
    from scisearch.pipeline import SearchConfig

F = TypeVar("F", bound=Callable[..., Any])
INDEX_HELP = "The index folder; also SEARCH_INDEX."


class _Commands(click.Group):
    """Shows a ScisearchError as one line; any other exception is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ScisearchError as error:
            raise click.ClickException(str(error)) from error


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several click options as one decorator."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_index = click.option(
    "--index",
    default="search-index",
    envvar="SEARCH_INDEX",
    show_default=True,
    type=click.Path(path_type=Path),
    help=INDEX_HELP,
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_models = _options(
    click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default."),
    click.option("--offline", is_flag=True, help="Never ask a model hub; also HF_HUB_OFFLINE=1."),
)
_search = _options(
    click.option(
        "--mode",
        type=click.Choice(["bm25", "dense", "hybrid", "rerank"]),
        help="The last stage; by default the last one that index and models allow.",
    ),
    click.option("--depth", default=100, show_default=True, help="Hits of each first stage."),
    click.option(
        "--rerank-depth", default=100, show_default=True, help="Fused hits that are reranked."
    ),
    click.option(
        "--fusion", type=click.Choice(["convex", "rrf"]), default="convex", show_default=True
    ),
    click.option(
        "--dense-weight", default=0.5, show_default=True, help="Convex: weight of the dense list."
    ),
    click.option("--rrf-k", default=60.0, show_default=True, help="RRF: its k."),
    click.option("--reranker", help="Cross-encoder: hub id, folder or built-in name."),
    click.option(
        "--rerank-weight",
        type=float,
        help="Weight of the cross-encoder in the final score; the model's own by default.",
    ),
    click.option(
        "--long",
        "long_documents",
        type=click.Choice(["cut", "maxp"]),
        default="cut",
        show_default=True,
        help="Documents too long for the cross-encoder: cut, or score passages and take the best.",
    ),
    click.option(
        "--bm25-engine",
        type=click.Choice(["bm25s", "rank-bm25"]),
        default="bm25s",
        show_default=True,
    ),
    click.option(
        "--filter",
        "filters",
        multiple=True,
        metavar="EXPR",
        help="Search only documents with e.g. year>=2018 or venue=ACL; may be repeated.",
    ),
    _models,
)


def _search_config(cutoff: int, options: dict[str, Any]) -> "SearchConfig":
    """The search options as a SearchConfig."""
    from scisearch.pipeline import SearchConfig
    from scisearch.retrieval.fusion import Fusion

    fusion = Fusion(options.pop("fusion"), options.pop("dense_weight"), options.pop("rrf_k"))
    return SearchConfig(cutoff=cutoff, fusion=fusion, **options)


def _build_config(options: dict[str, Any]) -> "BuildConfig":
    """The build options as a BuildConfig."""
    from scisearch.index.builder import BuildConfig
    from scisearch.index.corpus import ColumnNames
    from scisearch.index.lexical import BM25Parameters
    from scisearch.index.models import DEFAULT_BI_ENCODER

    columns = [options.pop(f"{name}_column") for name in ("id", "title", "text")]
    bm25 = BM25Parameters(options.pop("k1"), options.pop("b"), options.pop("bm25_variant"))
    encoder = options.pop("encoder") or DEFAULT_BI_ENCODER
    encoder = None if options.pop("no_dense") else encoder
    return BuildConfig(columns=ColumnNames(*columns), bm25=bm25, encoder=encoder, **options)


def _print(value: Any, render: Callable[[Any], str], *, as_json: bool) -> None:
    """Print a report, a dataclass or JSON values, for a program or for a reader."""
    if as_json:
        _print_json(asdict(value) if is_dataclass(value) else value)
    else:
        click.echo(render(value))


def _print_json(value: Any, *, indent: int | None = 2) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    # a lone surrogate in a query has no UTF-8 form; as an escape it is legal JSON
    click.echo(text.encode(errors="backslashreplace").decode())


@click.group(cls=_Commands)
@click.version_option(package_name="scisearch")
def main() -> None:
    """Search scientific literature: retrieve, then rerank."""


@main.command("build-index")
@click.argument("corpus", type=click.Path(path_type=Path))
@_index
@click.option("--id-column", help="The column with the document ids; found by name by default.")
@click.option("--title-column", help="The column with the titles; found by name by default.")
@click.option("--text-column", help="The column with the texts; found by name by default.")
@click.option("--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be indexed.")
@click.option("--no-dense", is_flag=True, help="BM25 only; needs no model.")
@click.option("--encoder", help="Bi-encoder: hub id, folder or built-in name.")
@click.option("--vectors", metavar="FACTORY", help="A FAISS index_factory string; else by size.")
@click.option("--k1", default=1.2, show_default=True, help="BM25: term frequency saturation.")
@click.option("--b", default=0.75, show_default=True, help="BM25: length normalisation.")
@click.option(
    "--bm25-variant",
    type=click.Choice(["lucene", "okapi"]),
    default="lucene",
    show_default=True,
    help="The idf of Lucene, or that of rank-bm25.",
)
@_models
@_json
def build_index_command(corpus: Path, index: Path, as_json: bool, **options: Any) -> None:
    """Index CORPUS: a Parquet, JSONL, CSV or TSV file, or a BEIR folder.

    The index that was there answers until the new one is ready. An interrupted build is continued
    by the same command.
    """
    from scisearch.console.index import render_build
    from scisearch.console.progress import TerminalProgress
    from scisearch.index.builder import build_index

    report = build_index(corpus, index, _build_config(options), progress=TerminalProgress())
    _print(report, render_build, as_json=as_json)


@main.command()
@click.argument("text", required=False)
@_index
@click.option("--cutoff", default=10, show_default=True, help="Hits shown.")
@_search
@click.option("--explain", is_flag=True, help="Show what each stage gave each document.")
@_json
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

    pipeline = SearchPipeline.open(index, _search_config(cutoff, options))
    if text is None:
        pipeline.warm_up()
    for one in queries(text):
        result = pipeline.search(one, filters=filters)
        if as_json:
            _print_json(result.to_json(explain=explain), indent=2 if text is not None else None)
        else:
            click.echo(render_result(result, explain=explain, styled=sys.stdout.isatty()))


@main.command()
@click.argument("topics", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="The run file."
)
@_index
@click.option("--cutoff", default=100, show_default=True, help="Hits of each topic.")
@_search
@click.option("--tag", default="scisearch", show_default=True, help="The run's sixth column.")
@click.option("--batch", default=32, show_default=True, help="Topics searched together.")
@click.option(
    "--topic-field",
    "fields",
    multiple=True,
    help="A part of each topic that makes the query, e.g. title; may be repeated.",
)
@_json
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
    from scisearch.console.progress import TerminalProgress
    from scisearch.console.runs import render_run
    from scisearch.pipeline import SearchPipeline
    from scisearch.retrieval.topics import read_topics

    found = read_topics(topics, fields or None)
    pipeline = SearchPipeline.open(index, _search_config(cutoff, options))
    report = write_run_file(
        pipeline,
        found,
        output,
        tag=tag,
        filters=filters,
        batch=batch,
        progress=TerminalProgress(),
    )
    _print(report, render_run, as_json=as_json)


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
@_json
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
        _print_json(comparison.to_json(per_query=per_query))
    else:
        click.echo(render_comparison(comparison, per_query=per_query))


@main.command()
@_index
@_json
def info(index: Path, as_json: bool) -> None:
    """Tell what an index is made of."""
    from scisearch.console.index import render_description
    from scisearch.index.description import describe
    from scisearch.index.opened import open_index

    _print(describe(open_index(index)), render_description, as_json=as_json)


@main.command()
@_index
@_json
def verify(index: Path, as_json: bool) -> None:
    """Check every file of an index against its checksum; exit 1 where one differs."""
    from scisearch.console.index import render_checks
    from scisearch.index.verification import verify_index

    checks = verify_index(index)
    _print(checks, render_checks, as_json=as_json)
    if not checks.sound:
        raise SystemExit(1)


@main.command()
@click.argument("folder", default="demo", type=click.Path(path_type=Path))
@_json
def demo(folder: Path, as_json: bool) -> None:
    """Write the demo collection into FOLDER: corpus.parquet, topics.tsv and qrels.txt."""
    from scisearch.benchmarks.demo import write_demo
    from scisearch.console.index import render_demo

    _print(write_demo(folder), render_demo, as_json=as_json)


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
