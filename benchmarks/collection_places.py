"""Where several collections are: folders, folders of folders, and one split of a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from scisearch.benchmarks.collection import Collection, collection_splits, read_collection
from scisearch.index.errors import ConfigError

IgnoreFiles = Mapping[str, Path]  # a collection folder's name -> its file of pairs to leave out


def read_places(
    *groups: Sequence[str | Path], ignore: IgnoreFiles | None = None
) -> list[list[Collection]]:
    """The collections of each group of places, in the order given.

    Args:
        groups: of FOLDER, a collection or what has collections as its subfolders, and FOLDER:SPLIT.
        ignore: files of 'query_id doc_id' lines by the name of the collection's folder; its pairs
            are left out of all judgements and runs of that collection.

    Raises:
        ConfigError: a place has no collection or no such split, or `ignore` names none of them.
        RankingError: a file is malformed.
    """
    ignore = ignore or {}
    found = [[part for place in group for part in _parts(place)] for group in groups]
    names = {_name(folder) for group in found for folder, _ in group}
    if unknown := sorted(set(ignore) - names):
        raise ConfigError(
            f"ignored pairs: found none of the collections called {unknown[0]!r}, expected one of"
            f" {', '.join(sorted(names)) or 'none, as no collection is given'}"
        )
    return [
        [
            read_collection(folder, split=split, ignore=ignore.get(_name(folder)))
            for folder, split in group
        ]
        for group in found
    ]


def read_collections(folder: Path) -> list[Collection]:
    """The collection in a folder, or those in its subfolders, by name.

    One with several judgements and no plain qrels.tsv is there once for each.

    Raises:
        ConfigError: there is none, or a part of one is missing.
        RankingError: a file is malformed.
    """
    return read_places([folder])[0]


def _parts(place: str | Path) -> list[tuple[Path, str | None]]:
    """Each folder with a collection, and which of its splits."""
    folder, colon, split = str(place).rpartition(":")
    if colon and not Path(place).exists():
        return [(Path(folder), split)]
    whole = Path(place)
    below = sorted(whole.iterdir()) if whole.is_dir() else []
    folders = below if collection_splits(whole) is None else [whole]
    found = [(one, split) for one in folders for split in collection_splits(one) or ()]
    if not found:
        raise ConfigError(
            f"{place}: found no collection, expected corpus.parquet, queries.jsonl and qrels.tsv"
            " in it or in its subfolders"
        )
    return found


def _name(folder: Path) -> str:
    return folder.resolve().name
