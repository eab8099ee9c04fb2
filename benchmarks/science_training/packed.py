"""Lists and documents as token ids in one small file, which a trainer reads and nothing else.

The file is a compressed npz of plain arrays: it needs no pickle, tokenizer or network to be read.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.words import Words
from scisearch.index.errors import TrainingError

FORMAT = 2
_DTYPE = np.uint16  # vocabularies of more than 65,536 tokens are refused


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Rows of several lengths: `values` (total,), row i at starts[i]:starts[i + 1]."""

    values: NDArray[np.generic]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[NDArray[np.generic]], dtype: np.dtype | type) -> Self:
        """The rows, one after another."""
        values = np.concatenate([*rows, np.empty(0, dtype)]).astype(dtype)
        return cls(values, _starts(np.array([len(row) for row in rows], np.int64)))

    @classmethod
    def inverted(cls, keys: NDArray[Any], rows: NDArray[np.generic], size: int) -> Self:
        """For each key below `size` the rows that it stands beside, in their order.

        `keys` and `rows` are (n,).
        """
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], np.arange(size + 1, dtype=keys.dtype))
        return cls(rows[order], starts.astype(np.int64))

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        """One row, a view."""
        return self.values[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class PackedLists:
    """n lists over m documents; a document is its row in `titles` and `texts`.

    Fields with a number for each list are (n,). `scores` are fused ones in [0, 1], float16, NaN for
    a positive that is no candidate. Of a list's negatives the first `n_top` are all there were at
    the top ranks, the others a share `rate` of those below. `instead` is what the only positive's
    text is replaced by: the abstract without the sentence that asks; empty where it is not.
    `words` are ids that lists are varied with.
    """

    kinds: tuple[str, ...]  # what `kind` counts
    kind: NDArray[np.uint8]
    queries: Ragged
    positives: Ragged
    positive_scores: NDArray[np.float16]  # along `positives.values`
    negatives: Ragged
    negative_scores: NDArray[np.float16]  # along `negatives.values`
    n_top: NDArray[np.uint8]
    rate: NDArray[np.float32]
    asking: NDArray[np.int32]  # a document, or -1
    instead: Ragged
    titles: Ragged
    texts: Ragged
    words: Words
    cls_id: int = 101
    sep_id: int = 102
    facts: Mapping[str, object] = field(default_factory=dict)  # for the card: counts, licences

    def __len__(self) -> int:
        """How many lists there are."""
        return len(self.kind)

    def of_positives(self, row: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The list's relevant documents and their scores."""
        span = slice(self.positives.starts[row], self.positives.starts[row + 1])
        return self.positives.values[span], self.positive_scores[span]

    def of_negatives(self, row: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The list's irrelevant documents and their scores."""
        span = slice(self.negatives.starts[row], self.negatives.starts[row + 1])
        return self.negatives.values[span], self.negative_scores[span]

    def document(self, row: int, *, with_title: bool = True) -> NDArray[Any]:
        """The token ids of a document, its title before its text."""
        if not with_title:
            return self.texts[row]
        return np.concatenate([self.titles[row], self.texts[row]])


_RAGGED = ("queries", "positives", "negatives", "instead", "titles", "texts")
_PLAIN = ("kind", "positive_scores", "negative_scores", "n_top", "rate", "asking")


def write_packed(packed: PackedLists, path: Path) -> None:
    """Write the file, or leave none that is half written.

    Raises:
        TrainingError: it cannot be written.
    """
    arrays = {name: getattr(packed, name) for name in _PLAIN}
    for name in _RAGGED:
        ragged: Ragged = getattr(packed, name)
        arrays[f"{name}.values"] = ragged.values
        arrays[f"{name}.lengths"] = np.diff(ragged.starts).astype(np.uint16)
    head = {
        "format": FORMAT,
        "kinds": packed.kinds,
        "cls": packed.cls_id,
        "sep": packed.sep_id,
        "words": packed.words.to_json(),
        "facts": packed.facts,
    }
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TrainingError(f"{path}: cannot be written ({error.strerror}); make room") from error


def read_packed(path: Path) -> PackedLists:
    """The lists of a file.

    Raises:
        TrainingError: it cannot be read, or has another format.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            head = json.loads(arrays["head"].tobytes())
            if head["format"] != FORMAT:
                raise TrainingError(
                    f"{path}: has format {head['format']}, expected {FORMAT}; prepare it again"
                )
            found: dict[str, Any] = {name: arrays[name] for name in _PLAIN}
            for name in _RAGGED:
                starts = _starts(arrays[f"{name}.lengths"])
                found[name] = Ragged(arrays[f"{name}.values"], starts)
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise TrainingError(
            f"{path}: is no file of packed lists ({error}); write it with `prepare`"
        ) from error
    kinds = tuple(head["kinds"])
    return PackedLists(
        kinds=kinds,
        **found,
        words=Words.from_json(head["words"]),
        cls_id=head["cls"],
        sep_id=head["sep"],
        facts=head["facts"],
    )


def token_row(ids: Iterable[int] | NDArray[Any], longest: int) -> NDArray[np.uint16]:
    """The first `longest` ids as they are kept.

    Raises:
        TrainingError: an id does not fit.
    """
    row = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), np.int64)[:longest]
    if len(row) and row.max() > np.iinfo(_DTYPE).max:
        raise TrainingError(
            f"token id {row.max()}; expected a vocabulary of at most {np.iinfo(_DTYPE).max + 1}"
        )
    return row.astype(_DTYPE)


def _starts(lengths: NDArray[Any]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
