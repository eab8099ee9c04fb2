"""Everything a training learns from and is judged by, from files or from an index."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from scisearch.index.opened import open_index
from scisearch.index.progress import Progress
from scisearch.rerank.training.list_files import read_lists
from scisearch.rerank.training.lists import RerankingList, Split, split_lists, without_texts
from scisearch.rerank.training.mining import MiningOptions, mine_lists, open_retrievers
from scisearch.rerank.training.relations import read_relations

UNSTATED = "not stated"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Lists to learn from, lists to choose the epoch with, and where they came from."""

    train: list[RerankingList]
    validation: list[RerankingList]
    sources: tuple[str, ...] = ()  # names of files
    notes: tuple[str, ...] = ()  # what was left out, and why

    def licences(self) -> Mapping[str, int]:
        """Licence -> how many lists have it, most first."""
        found = Counter(one.licence or UNSTATED for one in (*self.train, *self.validation))
        return dict(found.most_common())

    def texts(self) -> Iterator[str]:
        """Every query and every text."""
        for one in (*self.train, *self.validation):
            yield one.query
            yield from one.texts

    def digest(self) -> str:
        """Hex digits that differ where a text, a label, a score or an order does."""
        digest = blake2b(digest_size=16)
        for side in (self.train, self.validation):
            for one in side:
                texts = (one.query, "+", *one.positives, "-", *one.negatives)
                # the numbers only where there are some: a training without is the same as ever
                told = () if one.first_stage is None else (repr(one.first_stage), str(one.kind))
                for text in (*texts, *told):
                    coded = text.encode(errors="surrogatepass")
                    digest.update(len(coded).to_bytes(8, "little") + coded)
            digest.update(b"end")
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class DataOptions:
    """How files become training data."""

    validation: tuple[Path, ...] = ()  # files of lists; none: a share of the training queries
    validation_share: float = 0.1
    disjoint_texts: bool = False
    skip_bad: bool = False
    licence: str | None = None  # of lists that state none
    seed: int = 42


def read_training_data(files: Sequence[Path], options: DataOptions) -> TrainingData:
    """The lists of the files, split into training and validation.

    Raises:
        TrainingError: a file holds no usable list, or a side of the split is empty.
        RankingError: a file cannot be read or is not UTF-8.
    """
    lists, notes = _read_all(files, options)
    if not options.validation:
        return split_data(lists, options, sources=_names(files), notes=notes)
    held, held_notes = _read_all(options.validation, options)
    split = without_texts(lists, held) if options.disjoint_texts else Split(lists, held, 0, 0)
    names = _names((*files, *options.validation))
    return TrainingData(split.train, held, names, (*notes, *held_notes, *_dropped(split)))


def split_data(
    lists: Sequence[RerankingList],
    options: DataOptions,
    *,
    sources: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> TrainingData:
    """Training data from lists, a share of the queries held out.

    Raises:
        TrainingError: a side of the split is empty.
    """
    split = split_lists(
        lists,
        validation_share=options.validation_share,
        seed=options.seed,
        disjoint_texts=options.disjoint_texts,
    )
    return TrainingData(split.train, split.validation, sources, (*notes, *_dropped(split)))


def _read_all(
    files: Sequence[Path], options: DataOptions
) -> tuple[list[RerankingList], tuple[str, ...]]:
    lists: list[RerankingList] = []
    notes: list[str] = []
    for path in files:
        file = read_lists(path, skip_bad=options.skip_bad)
        lists += [replace(one, licence=one.licence or options.licence) for one in file.lists]
        if file.rejects:
            notes.append(
                f"{path.name}: {len(file.rejects)} lists left out, first: {file.rejects[0]}"
            )
    return lists, tuple(notes)


def _dropped(split: Split) -> tuple[str, ...]:
    if not split.n_dropped_texts:
        return ()
    return (
        f"{split.n_dropped_texts} texts of validation lists were taken out of the training lists;"
        f" {split.n_dropped_lists} training lists were left without a class and dropped",
    )


def _names(files: Sequence[Path]) -> tuple[str, ...]:
    return tuple(path.name for path in files)


def mine_training_data(
    index: Path,
    relations: Path,
    options: DataOptions,
    *,
    mining: MiningOptions,
    models: Mapping[str, Any],
    progress: Progress | None = None,
) -> TrainingData:
    """Training data with negatives mined from an index; `models` are those of `open_retrievers`.

    Raises:
        IndexFormatError: there is no index that can be opened.
        TrainingError: the relations fit no document, or no query has a negative.
        ModelError: the index's bi-encoder cannot be found.
    """
    opened = open_index(index)
    known = read_relations(relations, opened.documents)
    retrievers = open_retrievers(opened, **models)
    mined = mine_lists(opened, known, retrievers, options=mining, progress=progress)
    lists = [replace(one, licence=one.licence or options.licence) for one in mined.lists]
    sources = (relations.name, f"{index.name} ({len(opened.documents)} documents)")
    if not options.validation:
        return split_data(lists, options, sources=sources, notes=mined.notes)
    held, notes = _read_all(options.validation, options)
    split = without_texts(lists, held) if options.disjoint_texts else Split(lists, held, 0, 0)
    return TrainingData(split.train, held, sources, (*mined.notes, *notes, *_dropped(split)))
