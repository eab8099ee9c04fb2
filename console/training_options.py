"""The options of `search train`, and what becomes of them."""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scisearch.console.collection_options import PLACES, ignore_option
from scisearch.console.options import F, model_options, options_of
from scisearch.console.output import show
from scisearch.rerank.training.precision import PRECISIONS
from scisearch.rerank.training.recipe import LOSSES, METRICS, PRESETS, Recipe

if TYPE_CHECKING:
    from scisearch.index.progress import Progress
    from scisearch.rerank.training.data import DataOptions, TrainingData
    from scisearch.rerank.training.train import TrainOptions

_FILE = click.Path(path_type=Path)


class _PosWeight(click.ParamType[float | str]):
    """A number, or `auto`."""

    name = "number or auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | str:
        """The number, or the word."""
        if value == "auto":
            return "auto"
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto", param, ctx)


class _Layers(click.ParamType[tuple[int, ...]]):
    """Numbers of layers, by commas."""

    name = "numbers"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """The numbers."""
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 0,2,5", param, ctx)


_data_options = options_of(
    click.option(
        "--validation",
        type=_FILE,
        multiple=True,
        help="Lists that choose the best epoch; by default a share of the queries of LISTS.",
    ),
    click.option(
        "--validation-share", default=0.1, show_default=True, help="Share of queries held out."
    ),
    click.option(
        "--disjoint", is_flag=True, help="Take texts of validation lists out of the training lists."
    ),
    click.option(
        "--skip-bad-lists", is_flag=True, help="Leave out lists with one class only, and say so."
    ),
    click.option("--licence", help="For the card, of lists that have no licence column."),
    click.option(
        "--from-index",
        type=_FILE,
        metavar="INDEX",
        help="Mine hard negatives for --relations from this index, instead of reading LISTS.",
    ),
    click.option(
        "--relations",
        type=_FILE,
        help="Parquet or JSONL: query (a text) or query_doc_id, and a relevant doc_id.",
    ),
    click.option("--negatives", default=10, show_default=True, help="Mined for a query, at most."),
    click.option(
        "--ranks",
        nargs=2,
        type=int,
        default=(1, 100),
        show_default=True,
        help="First and last rank that negatives are mined from.",
    ),
    click.option(
        "--margin",
        default=0.95,
        show_default=True,
        help="A mined negative scores at most this share of the best retrieved positive.",
    ),
    click.option("--encoder", help="The bi-encoder of the index, and of those of collections."),
    click.option(
        "--judge",
        multiple=True,
        metavar="COLLECTION",
        help=f"{PLACES}: what the lists share with them is removed before, and the model is"
        " compared on them after the training.",
    ),
    ignore_option,
)


def _changes(option: str, **attributes: Any) -> Callable[[F], F]:
    """An option that changes one thing of the recipe; its help shows what the preset has."""
    name = option.removeprefix("--").partition("/")[0].replace("-", "_")
    value = getattr(PRESETS["scidocs"], name)
    if not isinstance(value, bool) and value is not None:
        attributes["help"] = f"{attributes.get('help', '')}  [scidocs: {value}]".strip()
    return click.option(option, **attributes)


_recipe_options = options_of(
    click.option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        default="scidocs",
        show_default=True,
        help="The recipe; each option below changes one thing of it.",
    ),
    _changes("--base", help="Hub id, folder or built-in name of the model to start from."),
    _changes("--new-head/--own-head", default=None, help="Put an untrained output on the base."),
    _changes("--layers", type=_Layers(), help="Keep only these layers of the base: 0,2,5."),
    _changes(
        "--trim-vocabulary/--whole-vocabulary",
        default=None,
        help="Keep only the tokens that the lists have.",
    ),
    _changes(
        "--loss",
        type=click.Choice(LOSSES),
        help="residual learns what the first stage gets wrong, soft keeps part of its order as the"
        " target; both from lists with its scores.",
    ),
    _changes("--label-share", type=float, help="Of the target in soft: what the judgements say."),
    _changes(
        "--pos-weight",
        type=_PosWeight(),
        help="Weight of relevant pairs in bce; auto: negatives per positive.",
    ),
    _changes("--list-size", type=int, help="Texts of a query in a step, but for bce."),
    _changes("--teacher", help="The cross-encoder that margin-mse learns from."),
    _changes("--learning-rate", type=float),
    _changes("--warmup", type=float, help="Share of the steps."),
    _changes("--weight-decay", type=float),
    _changes("--batch-size", type=int, help="Pairs in a step; queries but for bce."),
    _changes("--epochs", type=int, help="At most."),
    _changes("--patience", type=int, help="Epochs without a better metric; 0: never stop."),
    _changes("--metric", type=click.Choice(METRICS), help="What the best epoch is best at."),
    _changes("--max-length", type=int, help="Tokens of a pair."),
    _changes("--seed", type=int),
    _changes(
        "--checkpoint-steps", type=int, help="Checkpoints within an epoch, every so many steps."
    ),
    _changes("--half/--full", default=None, help="Save the weights in fp16."),
    _changes(
        "--freeze", type=int, help="Leave the embeddings and so many lowest layers untrained."
    ),
    _changes(
        "--precision",
        type=click.Choice(PRECISIONS),
        help="Mixed: fp16 on CUDA, bf16 on a CPU that has it; auto: that where it is fast.",
    ),
)
train_options = options_of(
    _data_options,
    _recipe_options,
    click.option(
        "--interpolation",
        "weight",
        default=0.5,
        show_default=True,
        help="The weight against the first stages that is kept with the model.",
    ),
    click.option(
        "--dev",
        multiple=True,
        metavar="COLLECTION",
        help=f"{PLACES}, that this weight is chosen on instead.",
    ),
    click.option(
        "--restart", is_flag=True, help="Throw away what an earlier training left in the folder."
    ),
    model_options,
)


def recipe_of(options: dict[str, Any]) -> Recipe:
    """The preset with the changes that were asked for."""
    names = {field.name for field in fields(Recipe)}
    changes = {name: options[name] for name in names if options.get(name) is not None}
    return replace(PRESETS[options["preset"]], **changes)


def data_of(
    lists: Sequence[Path], options: dict[str, Any], seed: int, progress: "Progress"
) -> "TrainingData":
    """The lists of the files, or lists mined from an index.

    Raises:
        ConfigError: neither was named, or both.
        ScisearchError: as the reading of either says.
    """
    from scisearch.index.errors import ConfigError
    from scisearch.rerank.training.data import DataOptions, read_training_data

    how = DataOptions(
        validation=options["validation"],
        validation_share=options["validation_share"],
        disjoint_texts=options["disjoint"],
        skip_bad=options["skip_bad_lists"],
        licence=options["licence"],
        seed=seed,
    )
    index, relations = options["from_index"], options["relations"]
    if index is not None and relations is not None and not lists:
        return _mined(index, relations, options, how, progress)
    if not lists or index is not None or relations is not None:
        raise ConfigError(
            "found no lists to learn from, or two kinds; give files of LISTS, or --from-index INDEX"
            " with --relations FILE"
        )
    return read_training_data(lists, how)


def _mined(
    index: Path, relations: Path, options: dict[str, Any], how: "DataOptions", progress: "Progress"
) -> "TrainingData":
    from scisearch.rerank.training.data import mine_training_data
    from scisearch.rerank.training.mining import MiningOptions

    first, last = options["ranks"]
    return mine_training_data(
        index,
        relations,
        how,
        mining=MiningOptions(options["negatives"], first, last, options["margin"], how.seed),
        models={name: options[name] for name in ("encoder", "device", "offline")},
        progress=progress,
    )


def run_options(options: dict[str, Any], progress: "Progress") -> "TrainOptions":
    """How the training is run."""
    from scisearch.rerank.interpolation import Interpolation
    from scisearch.rerank.model_settings import ModelSettings
    from scisearch.rerank.training.train import TrainOptions

    return TrainOptions(
        device=options["device"],
        offline=options["offline"],
        restart=options["restart"],
        progress=progress,
        command=shlex.join(["search", *sys.argv[1:]]),
        settings=ModelSettings(Interpolation(options["weight"])),
    )


def run_training(
    lists: tuple[Path, ...], output: Path, options: dict[str, Any], *, as_json: bool
) -> bool:
    """Train, judge, and print it; False where the model loses on a collection."""
    from scisearch.benchmarks.judged_training import Judging, train_and_judge
    from scisearch.console.progress import stderr_progress
    from scisearch.console.training import card_sections, render_data, render_judgement

    recipe, progress = recipe_of(options), stderr_progress()
    data = data_of(lists, options, recipe.seed, progress)
    click.echo(render_data(data), err=True)
    judging = Judging(
        options["judge"], options["dev"], options["ignore"], options["encoder"], card_sections
    )
    judgement = train_and_judge(data, output, recipe, run_options(options, progress), judging)
    show(judgement.to_json() if as_json else judgement, render_judgement, as_json=as_json)
    return judgement.passed
