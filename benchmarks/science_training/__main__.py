"""`python -m scisearch.benchmarks.science_training`: prepare, train, pack."""

import os
from pathlib import Path
from typing import Any

import click

from scisearch.benchmarks.commands import Commands
from scisearch.benchmarks.science_training.settings import MOST_RELEVANT, RELEVANT
from scisearch.index.progress import NoProgress

_PATH = click.Path(path_type=Path)
_SHARES = click.option(
    "--share-of",
    "shares",
    multiple=True,
    type=(str, float),
    metavar="KIND SHARE",
    help="Of the lists, such as citation 0.2; kinds not named share the rest as by default.",
)
_RELEVANT = click.option(
    "--relevant",
    default=RELEVANT,
    show_default=True,
    help=f"Relevant texts of a list, at most; to {MOST_RELEVANT}.",
)


class _Stages(NoProgress):
    """Tells which stage begins; an hour's work needs no bar."""

    def start(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """Say what begins."""
        of = "" if total is None else f", {done} of {total} {unit}"
        click.echo(f"{stage}{of}", err=True)


@click.group(cls=Commands)
def main() -> None:
    """Make the weights of the science cross-encoder that we ship."""


@main.command()
@click.argument("corpora", type=_PATH)
@click.option("--collections", type=_PATH, required=True, help="What the model is judged on.")
@click.option("--output", "-o", type=_PATH, required=True, help="Indexes, lists, packed.npz.")
@click.option(
    "--not-judged",
    multiple=True,
    default=("scitldr-knownitem",),
    show_default=True,
    help="Collections whose texts may be learned from: their test queries are not among them.",
)
@click.option("--share", default=1.0, show_default=True, help="Of every kind's lists and papers.")
@click.option(
    "--large", is_flag=True, help="Nearly all lists, with BM25's best: for `learn` on a GPU."
)
@click.option("--encoder", help="The bi-encoder of the first stage; the built-in one by default.")
@click.option("--no-dense", is_flag=True, help="Candidates from BM25 alone; needs no bi-encoder.")
@click.option("--tokenizer", type=_PATH, help="A model's folder; the encoder's by default.")
@click.option("--offline", is_flag=True, help="Never ask a hub.")
def prepare(corpora: Path, output: Path, **options: Any) -> None:
    """Choose lists from CORPORA, find their candidates, and pack them into one file."""
    from scisearch.benchmarks.science_training.preparation import Preparation, prepare_lists

    told = prepare_lists(corpora, output, Preparation(**options), progress=_Stages())
    click.echo(told)


@main.command("dev-collections")
@click.argument("corpora", type=_PATH)
@click.option("--output", "-o", type=_PATH, required=True, help="Gets a folder for each.")
@click.option("--queries", default=150, show_default=True, help="Of a collection, at most.")
@click.option("--only", multiple=True, help="Its name; all by default.")
def dev_collections(corpora: Path, output: Path, queries: int, only: tuple[str, ...]) -> None:
    """Cut collections to choose settings on out of CORPORA, with queries that were held out."""
    from scisearch.benchmarks.science_training.dev_collections import write_dev_collections

    told = write_dev_collections(corpora, output, queries=queries, only=only)
    for name, (documents, asked) in told.items():
        click.echo(f"{output / name}: {documents} documents, {asked} queries")


@main.command()
@click.argument("packed", type=_PATH)
@click.option("--base", type=_PATH, required=True, help="A Hugging Face folder of a BERT.")
@click.option("--output", "-o", type=_PATH, required=True, help="Checkpoint, log, model/.")
@click.option("--minutes", type=float, required=True, help="Continued trainings count together.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--workers", type=int, help="One a core on a CPU; beside a GPU, those that feed it.")
@click.option("--lists", type=int, help="In a step; 16 on a CPU, 128 on a GPU.")
@click.option("--micro-batch", type=int, help="Pairs together; 48 on a CPU, 1024 on a GPU.")
@click.option("--freeze", default=1, show_default=True, help="Lowest layers; -1: nothing.")
@click.option("--learning-rate", default=1e-4, show_default=True)
@click.option("--precision", type=click.Choice(["auto", "float32", "mixed"]), default="auto")
@click.option("--seed", default=1, show_default=True)
@_SHARES
@_RELEVANT
@click.option(
    "--unrelated",
    default=0,
    show_default=True,
    help="Documents of other lists in each; with them BASE keeps its order among candidates and"
    " learns to put these below.",
)
@click.option(
    "--contrasts",
    default=0,
    show_default=True,
    help="Contrast lists in a step: a word in another field, claims turned, roles exchanged.",
)
@click.option("--teacher", type=_PATH, help="A larger model's folder, whose logits BASE learns.")
@click.option("--layers", help="Of BASE, that are kept, such as 0,2,5; all by default.")
@click.option("--half", is_flag=True, help="Write the weights in fp16.")
def train(packed: Path, base: Path, output: Path, half: bool, **options: Any) -> None:
    """Train on the PACKED lists until the minutes have passed; the same command continues."""
    from scisearch.benchmarks.science_training.training import Job, train_weights

    teacher, layers = options.pop("teacher"), _layers(options.pop("layers"))
    job = Job(packed, base, output, _settings(options), half, teacher, layers)
    click.echo(train_weights(job))


@main.command()
@click.argument("packed", type=_PATH)
@click.option("--base", type=_PATH, required=True, help="The folder of all-MiniLM-L6-v2.")
@click.option("--output", "-o", type=_PATH, required=True, help="train.log, model/, sibling/.")
@click.option("--minutes", type=float, required=True, help="Of the cross-encoder's training.")
@click.option("--sibling-minutes", default=0.0, show_default=True, help="Of its student's.")
@click.option("--sibling-layers", default="0,2,5", show_default=True, help="That it keeps.")
@click.option("--same-work", default=0.95, show_default=True, help="Cosine of two copies.")
@click.option("--device", default="cuda", show_default=True)
@click.option("--workers", default=6, show_default=True, help="Processes that draw queries.")
@click.option("--lists", default=128, show_default=True, help="In a step.")
@click.option("--batch-tokens", default=131_072, show_default=True, help="Computed together.")
@click.option("--freeze", default=0, show_default=True, help="Embeddings and lowest layers.")
@click.option("--learning-rate", default=2e-4, show_default=True)
@click.option("--precision", type=click.Choice(["float32", "bf16"]), default="bf16")
@click.option("--seed", default=1, show_default=True)
@_SHARES
@_RELEVANT
def learn(packed: Path, base: Path, output: Path, **options: Any) -> None:
    """On a GPU, from a large preparation: dense candidates, the training, its small sibling."""
    from scisearch.benchmarks.science_training.gpu.course import SIBLING_LAYERS, GpuJob, run_course
    from scisearch.benchmarks.science_training.gpu.learning import GPU_LONGEST
    from scisearch.benchmarks.science_training.settings import Settings

    settings = Settings(
        seconds=60 * options["minutes"],
        device=options["device"],
        numbers=options["precision"],
        workers=options["workers"],
        lists=options["lists"],
        micro_batch=options["batch_tokens"],
        frozen=options["freeze"] if options["freeze"] >= 0 else None,
        learning_rate=options["learning_rate"],
        seed=options["seed"],
        longest=GPU_LONGEST,
        relevant=options["relevant"],
        shares=dict(options["shares"]),
    )
    job = GpuJob(
        packed=packed,
        base=base,
        output=output,
        settings=settings,
        sibling_seconds=60 * options["sibling_minutes"],
        sibling_layers=_layers(options["sibling_layers"]) or SIBLING_LAYERS,
        same_work=options["same_work"],
    )
    click.echo(run_course(job))


@main.command()
@click.argument("source", type=_PATH)
@click.option("--output", "-o", type=_PATH, required=True, help="Where the parts or the whole go.")
@click.option("--join", is_flag=True, help="SOURCE is a folder of parts; put them together.")
@click.option("--part-bytes", default=16_000_000, show_default=True, help="Of a part, at most.")
def pack(source: Path, output: Path, join: bool, part_bytes: int) -> None:
    """Split SOURCE, a folder or a file, into parts of at most 16 MB, or join such parts."""
    from scisearch.benchmarks.science_training.parts import join_parts, split_into_parts

    paths = [join_parts(source, output)] if join else None
    for path in paths or split_into_parts(source, output, part_bytes=part_bytes):
        click.echo(path)


def _settings(options: dict[str, Any]) -> Any:
    """The settings of a device, with the changes that were asked for."""
    from scisearch.benchmarks.science_training.settings import Settings
    from scisearch.rerank.training.precision import arithmetic

    device = options["device"]
    on_cpu = device == "cpu"
    numbers = arithmetic(options["precision"], device)
    return Settings(
        seconds=60 * options["minutes"],
        device=device,
        numbers="float32" if numbers == "float32" else "bf16",
        workers=options["workers"] or (_cores() if on_cpu else min(8, _cores())),
        lists=options["lists"] or (16 if on_cpu else 128),
        micro_batch=options["micro_batch"] or (48 if on_cpu else 1024),
        frozen=options["freeze"] if options["freeze"] >= 0 else None,
        learning_rate=options["learning_rate"],
        seed=options["seed"],
        unrelated=options["unrelated"],
        contrasts=options["contrasts"],
        relevant=options["relevant"],
        shares=dict(options["shares"]),
    )


def _layers(told: str | None) -> list[int] | None:
    """The numbers of layers, as they are typed."""
    if told is None:
        return None
    try:
        return [int(one) for one in told.split(",")]
    except ValueError:
        raise click.BadParameter(f"{told!r}; expected numbers of layers, such as 0,2,5") from None


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    main()
