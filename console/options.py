"""The options that several commands share, and what becomes of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from scisearch.index.build_plan import BuildConfig
    from scisearch.rerank.search_config import SearchConfig

F = TypeVar("F", bound=Callable[..., Any])


def options_of(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several click options as one decorator."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


index_option = click.option(
    "--index",
    default="search-index",
    envvar="SEARCH_INDEX",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The index folder; also SEARCH_INDEX.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
model_options = options_of(
    click.option(
        "--device",
        help="cpu, cuda (all of them), cuda:1, mps, or several with commas; the best by default.",
    ),
    click.option("--offline", is_flag=True, help="Never ask a model hub; also HF_HUB_OFFLINE=1."),
)
runtime_option = click.option(
    "--runtime",
    type=click.Choice(["auto", "onnx", "torch"]),
    default="auto",
    show_default=True,
    help="What computes the models; auto: ONNX Runtime on a CPU, PyTorch on a GPU.",
)
reranker_option = click.option(
    "--reranker", help="Cross-encoder: hub id, folder, built-in name or `fast`, a small one."
)
build_options = options_of(
    click.option("--id-column", help="The column with the document ids; found by name by default."),
    click.option("--title-column", help="The column with the titles; found by name by default."),
    click.option("--text-column", help="The column with the texts; found by name by default."),
    click.option("--skip-bad-rows", is_flag=True, help="Leave out rows that cannot be indexed."),
    click.option("--no-dense", is_flag=True, help="BM25 only; needs no model."),
    click.option("--encoder", help="Bi-encoder: hub id, folder, built-in name; or static: fast."),
    click.option(
        "--vectors", metavar="FACTORY", help="A FAISS index_factory string; else by size."
    ),
    click.option("--k1", default=1.2, show_default=True, help="BM25: term frequency saturation."),
    click.option("--b", default=0.75, show_default=True, help="BM25: length normalisation."),
    click.option(
        "--bm25-variant",
        type=click.Choice(["lucene", "okapi"]),
        default="lucene",
        show_default=True,
        help="The idf of Lucene, or that of rank-bm25.",
    ),
    click.option(
        "--title-weight",
        default=3,
        show_default=True,
        help="BM25: how many times the words of a title count.",
    ),
    model_options,
    runtime_option,
)
ranking_options = options_of(  # the stages' numbers, wherever something is ranked
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Settings from a TOML file, as `search tune` writes; options typed here override it.",
    ),
    click.option("--depth", default=100, show_default=True, help="Hits of each first stage."),
    click.option(
        "--rerank-depth", default=100, show_default=True, help="Fused hits that are reranked."
    ),
    click.option(
        "--fusion", type=click.Choice(["convex", "rrf"]), default="convex", show_default=True
    ),
    click.option(
        "--dense-weight",
        type=float,
        help="Convex: weight of the dense list.  [default: 0.5; with --encoder static: 0.3]",
    ),
    click.option(
        "--dense-span",
        type=float,
        help="Convex: that weight is multiplied by the spread of the list's ten best cosines over"
        " this; 0: not.  [default: 0.12 with all-MiniLM-L6-v2, else 0]",
    ),
    click.option("--rrf-k", default=60.0, show_default=True, help="RRF: its k."),
    click.option(
        "--neighbour-weight",
        default=0.25,
        show_default=True,
        help="How far fused scores are drawn towards those of similar candidates; 0: not.",
    ),
    click.option(
        "--rerank",
        type=click.Choice(["full", "auto", "cascade"]),
        help="Rerank all of these; in fused order until the top 10 is not expected to change; or"
        " the 30 that the small sibling puts first."
        "  [default: full; a query with a built-in cross-encoder: auto]",
    ),
    click.option(
        "--phrase-weight",
        default=0.0,
        show_default=True,
        help="Reranking: weight of the query's phrases in a text, beside fused scores; 1 suits"
        " queries written with the document sought at hand.",
    ),
    reranker_option,
    click.option(
        "--rerank-weight",
        type=float,
        help="Weight of the cross-encoder in the final score; the model's own by default.",
    ),
    click.option(
        "--rerank-normalisation",
        type=click.Choice(["logit", "minmax", "zscore"]),
        help="Of the scores before they are weighed; the model's own by default.",
    ),
)
search_options = options_of(
    click.option(
        "--budget-ms",
        type=click.FloatRange(min=1),
        help="Stop reranking a query after so many milliseconds; not the same answer every time.",
    ),
    click.option(
        "--score-cache/--no-score-cache",
        default=False,
        show_default=True,
        help="Take scores of pairs that were reranked before from the user's cache, and keep new"
        " ones there: for repeated work; times then say little.",
    ),
    click.option(
        "--mode",
        type=click.Choice(["bm25", "dense", "hybrid", "rerank"]),
        help="The last stage; by default the last one that index and models allow.",
    ),
    ranking_options,
    click.option("--encoder", help="The index's bi-encoder, if it is elsewhere than it was."),
    click.option(
        "--min-probability",
        type=float,
        help="Only hits at least so likely to be relevant, 0 to 1; the model must be calibrated.",
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
    model_options,
    runtime_option,
)


def search_config(
    cutoff: int, options: dict[str, Any], *, shows_top: bool = False
) -> "SearchConfig":
    """The search options as a SearchConfig: typed, else of the --config file, else by default.

    With `shows_top`, `--rerank auto` looks at the hits that come out, unless the file says at how
    many; and it is the default where it is known to cost nothing: with a built-in cross-encoder,
    unless probabilities decide what comes out.

    Raises:
        ConfigError: the file cannot be read, or a value does not fit.
    """
    from scisearch.index.models import built_in_model
    from scisearch.rerank.config_file import config_of

    of_file = _of_file(options.pop("config"))
    settings = {"cutoff": cutoff, **options, **of_file}
    if shows_top:
        settings.setdefault("auto_top", settings["cutoff"])
        named = settings.get("reranker")
        ours = named is None or built_in_model(named) is not None
        if ours and settings.get("min_probability") is None:
            settings["rerank"] = settings.get("rerank") or "auto"
    return config_of({name: value for name, value in settings.items() if value is not None})


def given_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the user set of a SearchConfig: in the --config file, and above it what was typed.

    `options` are those that `search_config` takes, and are not changed.

    Raises:
        ConfigError: the file cannot be read.
    """
    from scisearch.rerank.config_file import KEYS

    typed = {name: options[name] for name in KEYS if name in options and _typed(name)}
    return {**_of_file(options["config"]), **typed}


def _of_file(path: Path | None) -> dict[str, Any]:
    """The settings of a --config file that were not typed as well."""
    from scisearch.rerank.config_file import read_config

    if path is None:
        return {}
    return {name: value for name, value in read_config(path).items() if not _typed(name)}


def _typed(option: str) -> bool:
    """Whether the user gave this option of the running command."""
    source = click.get_current_context().get_parameter_source(option)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def build_config(options: dict[str, Any]) -> "BuildConfig":
    """The build options as a BuildConfig."""
    from scisearch.index.build_plan import BuildConfig
    from scisearch.index.corpus import ColumnNames
    from scisearch.index.lexical import BM25Parameters
    from scisearch.index.models import DEFAULT_BI_ENCODER

    columns = [options.pop(f"{name}_column") for name in ("id", "title", "text")]
    named = ("k1", "b", "bm25_variant", "title_weight")
    bm25 = BM25Parameters(*(options.pop(name) for name in named))
    encoder = options.pop("encoder") or DEFAULT_BI_ENCODER
    encoder = None if options.pop("no_dense") else encoder
    return BuildConfig(columns=ColumnNames(*columns), bm25=bm25, encoder=encoder, **options)
