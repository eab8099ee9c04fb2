"""Reranking lists: a query with relevant and irrelevant texts, counted, flattened and split.

Knows nothing of files (`list_files.py`), models or indexes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import NamedTuple

import numpy as np

from scisearch.index.errors import ConfigError, TrainingError


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What the first stage said of the texts of a list, in their order.

    Scores are fused ones, moved to [0, 1] over the candidates of the query (`min_max`); None where
    a text was no candidate. A rate, above 0 and at most 1, is the share of the candidates like this
    negative that the list was given: 1 where all of them are in it.
    """

    positives: tuple[float | None, ...]
    negatives: tuple[float | None, ...]
    rates: tuple[float, ...]  # of the negatives


@dataclass(frozen=True, slots=True)
class RerankingList:
    """One query, texts that answer it and texts that do not; at least one of each."""

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    licence: str | None = None
    kind: str | None = None  # of query: claim, question, keywords, or as the user names them
    first_stage: FirstStage | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The positives, then the negatives."""
        return self.positives + self.negatives

    def __len__(self) -> int:
        """How many texts it has."""
        return len(self.positives) + len(self.negatives)

    def without(self, gone: Callable[[str], bool]) -> "RerankingList":
        """The list without some texts, and without what the first stage said of them."""
        yes, no = ([not gone(text) for text in side] for side in (self.positives, self.negatives))
        stage = self.first_stage
        if stage is not None:
            stage = FirstStage(
                tuple(compress(stage.positives, yes)),
                tuple(compress(stage.negatives, no)),
                tuple(compress(stage.rates, no)),
            )
        return replace(
            self,
            positives=tuple(compress(self.positives, yes)),
            negatives=tuple(compress(self.negatives, no)),
            first_stage=stage,
        )


class Pair(NamedTuple):
    """What the cross-encoder reads, and whether the text is relevant."""

    query: str
    text: str
    label: int


@dataclass(frozen=True, slots=True)
class ListCounts:
    """How large a set of lists is."""

    lists: int
    queries: int  # different ones
    pairs: int
    positives: int

    @property
    def positive_share(self) -> float:
        """The share of relevant pairs, 0 to 1."""
        return self.positives / self.pairs

    @property
    def negatives_per_positive(self) -> float:
        """What `--pos-weight auto` weighs a relevant pair with."""
        return (self.pairs - self.positives) / self.positives


class Split(NamedTuple):
    """Lists to learn from and lists to choose the best epoch with."""

    train: list[RerankingList]
    validation: list[RerankingList]
    n_dropped_texts: int  # taken out of training lists because validation has them
    n_dropped_lists: int  # training lists that were left without a positive or a negative


def counts(lists: Sequence[RerankingList]) -> ListCounts:
    """Their counts; `lists` is not empty."""
    return ListCounts(
        lists=len(lists),
        queries=len({normal(one.query) for one in lists}),
        pairs=sum(map(len, lists)),
        positives=sum(len(one.positives) for one in lists),
    )


def flatten(lists: Iterable[RerankingList]) -> Iterator[Pair]:
    """Every pair of every list, positives before negatives."""
    for one in lists:
        yield from (Pair(one.query, text, 1) for text in one.positives)
        yield from (Pair(one.query, text, 0) for text in one.negatives)


def normal(text: str) -> str:
    """The text as duplicates are told by: case and white space do not count."""
    return " ".join(text.casefold().split())


def split_lists(
    lists: Sequence[RerankingList],
    *,
    validation_share: float = 0.1,
    seed: int = 42,
    disjoint_texts: bool = False,
) -> Split:
    """Split by query: all lists of a query fall on the same side.

    With `disjoint_texts` no text of a validation list is learned from: it is taken out of the
    training lists. The same lists, share and seed give the same split.

    Raises:
        ConfigError: the share is not between 0 and 1.
        TrainingError: a side would be empty.
    """
    if not 0 < validation_share < 1:
        raise ConfigError(
            f"validation share {validation_share}; expected a number between 0 and 1, such as 0.1"
        )
    queries = sorted({normal(one.query) for one in lists})
    if len(queries) < 2:
        raise TrainingError(
            f"found lists of {len(queries)} query, expected at least two: one to learn from and one"
            " to choose the best epoch with"
        )
    n_held = min(max(1, round(validation_share * len(queries))), len(queries) - 1)
    chosen = np.random.default_rng(seed).permutation(len(queries))[:n_held]
    held = {queries[place] for place in chosen}
    validation = [one for one in lists if normal(one.query) in held]
    train = [one for one in lists if normal(one.query) not in held]
    if not disjoint_texts:
        return Split(train, validation, 0, 0)
    return without_texts(train, validation)


def without_texts(train: Sequence[RerankingList], validation: list[RerankingList]) -> Split:
    """The training lists without the texts that the validation lists have.

    Raises:
        TrainingError: no training list is left.
    """
    seen = {normal(text) for one in validation for text in one.texts}
    kept: list[RerankingList] = []
    n_texts = 0
    for one in train:
        left = one.without(lambda text: normal(text) in seen)
        n_texts += len(one) - len(left)
        if left.positives and left.negatives:
            kept.append(left)
    if not kept:
        raise TrainingError(
            f"none of {len(train)} training lists is left without the texts of the validation"
            " lists; give other validation lists or allow shared texts"
        )
    return Split(kept, validation, n_texts, len(train) - len(kept))
