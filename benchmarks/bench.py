"""`make bench`: the benchmarks of expected.toml that are at hand; fails on a drift in quality."""

import shutil
import subprocess
import sys
from pathlib import Path

import click

from scisearch.benchmarks.card import read_card
from scisearch.benchmarks.collection import read_collection
from scisearch.benchmarks.expected import PATH, Expected, drifts, read_expected
from scisearch.benchmarks.kept_cards import FOLDER, write_kept_card
from scisearch.index.errors import ScisearchError


@click.command()
@click.option(
    "--collections", type=click.Path(path_type=Path), default=Path("../shared/collections")
)
@click.option("--out", type=click.Path(path_type=Path), default=Path(".bench"))
@click.option("--only", help="Names of benchmarks, with commas.")
@click.option("--systems", help="Run only these of each: bm25, say, needs no model.")
@click.option("--keep", is_flag=True, help="Write benchmarks/cards/ from the new cards.")
@click.option("--times/--no-times", default=True, help="Keep times: only of a quiet machine.")
@click.option("--expected", type=click.Path(path_type=Path), default=PATH)
@click.option("--cards", type=click.Path(path_type=Path), default=FOLDER)
def main(
    collections: Path,
    out: Path,
    only: str | None,
    systems: str | None,
    keep: bool,
    times: bool,
    expected: Path,
    cards: Path,
) -> None:
    """Run the benchmarks of expected.toml whose collections are in a folder, from nothing."""
    try:
        chosen = _chosen(read_expected(expected), only)
    except ScisearchError as error:
        raise click.ClickException(str(error)) from error
    failures: list[str] = []
    n_run = 0
    for one in chosen:
        if one.folder is not None and not (collections / one.folder).is_dir():
            click.echo(f"{one.name}: skipped, {collections / one.folder} is not there")
            continue
        n_run += 1
        folder = out / one.name
        told = _run(one, collections, folder, systems)
        failures += told
        click.echo("\n".join(told) or f"{one.name}: as expected")
        if keep and not told:
            write_kept_card(
                read_card(folder / "card.json"), cards / f"{one.name}.json", times=times
            )
    click.echo(f"{n_run} of {len(chosen)} benchmarks run, {len(failures)} figures drifted")
    if failures:
        raise SystemExit(1)


def _chosen(expected: list[Expected], only: str | None) -> list[Expected]:
    if only is None:
        return expected
    names = only.split(",")
    unknown = sorted(set(names) - {one.name for one in expected})
    if unknown:
        there = ", ".join(one.name for one in expected)
        raise click.ClickException(f"--only: found {', '.join(unknown)}, expected some of {there}")
    return [one for one in expected if one.name in names]


def _run(one: Expected, collections: Path, folder: Path, systems: str | None) -> list[str]:
    """What is wrong with one benchmark, a line each."""
    # An index that is there would hide a drift of what builds it.
    shutil.rmtree(folder, ignore_errors=True)
    arguments = [*one.arguments(collections), "--out", str(folder)]
    arguments += _ignored(one, collections, folder)
    arguments += ["--systems", systems] if systems else []
    # -P: a folder named `index` where the user stands must not be taken for ours
    done = subprocess.run([sys.executable, "-P", "-m", "scisearch.cli", *arguments], check=False)
    if done.returncode:
        return [f"{one.name}: search {' '.join(arguments)} ended with code {done.returncode}"]
    asked = tuple(systems.split(",")) if systems else None
    return [str(drift) for drift in drifts(one, read_card(folder / "card.json"), systems=asked)]


def _ignored(one: Expected, collections: Path, folder: Path) -> list[str]:
    """The option that leaves each asking paper out, with its file written."""
    if one.folder is None or one.asking_paper is None:
        return []
    queries = read_collection(collections / one.folder).queries
    path = folder.with_name(f"{one.name}.ignore.tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(one.ignored(query.query_id for query in queries) or "", encoding="utf-8")
    return ["--ignore", str(path)]


if __name__ == "__main__":
    main()
