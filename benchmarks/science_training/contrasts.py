"""Short lists of a right text and wrong ones that share its words: what the contrast suite is of.

All are made of packed lists and documents, so what was held out or removed there is not in them.
The suite itself (benchmarks/contrast_pairs) was written by people and is learned from by nobody.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.exchanged import Exchange
from scisearch.benchmarks.science_training.other_fields import SUBJECTS, OtherFields
from scisearch.benchmarks.science_training.packed import PackedLists
from scisearch.benchmarks.science_training.sentences import in_common, sentences
from scisearch.benchmarks.science_training.twisting import Twisting
from scisearch.index.errors import TrainingError

# Share of each kind, and by how many logits the right text is to be above the wrong ones: less
# where all are about the same thing.
CONTRASTS: Mapping[str, tuple[float, float]] = {
    "field": (0.5, 2.0),
    "turned": (0.33, 1.0),
    "exchanged": (0.17, 1.0),
}
_STATEMENTS = frozenset({"claim", "scifact", "tldr", "sentence"})
_TRIES = 2_000
_FIRST = 5  # sentences of a paper, which say what it is about
_RESTATED, _RESTATED_WRONG, _LITTLE_LEFT_OUT = 0.4, 0.6, 0.4

Tokens = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class ContrastList:
    """A query and n texts as token ids, the right one first."""

    kind: str
    query: Tokens
    texts: list[Tokens]

    @property
    def margin(self) -> float:
        """Logits."""
        return CONTRASTS[self.kind][1]


class ContrastSource:
    """Draws contrast lists; the same packed lists and generator give the same ones."""

    def __init__(self, packed: PackedLists, draw: np.random.Generator) -> None:
        """Look into the packed documents for words.

        Raises:
            TrainingError: they were packed without the words that such lists are made with.
        """
        words = packed.words.contrasts
        if words is None:
            raise TrainingError(
                "the packed lists have no words to make contrast lists with; prepare them again,"
                " or train without --contrasts"
            )
        self._packed, self._draw, self._words = packed, draw, words
        numbers = frozenset(one for group in packed.words.numbers for one in group)
        self._sentences = partial(sentences, ends=frozenset(words.ends), numbers=numbers)
        self._twisting, self._exchange = Twisting(packed.words), Exchange(words)
        little = (*packed.words.function_words, *words.stops)
        self._fields = OtherFields(packed, words.content, little, self._sentences, draw)
        self._subjects, self._statements = self._rows(SUBJECTS), self._rows(_STATEMENTS)

    def draw(self) -> ContrastList:
        """The next list, of a kind drawn by its share; of another where there is none of it.

        Raises:
            TrainingError: none is found.
        """
        shares = np.array([share for share, _ in CONTRASTS.values()])
        kinds = self._draw.choice(
            list(CONTRASTS), len(CONTRASTS), replace=False, p=shares / shares.sum()
        )
        make: Mapping[str, Callable[[], list[Tokens] | None]] = {
            "field": self._field,
            "turned": self._turned,
            "exchanged": self._exchanged,
        }
        for kind in kinds.tolist():
            for _ in range(_TRIES):
                found = make[kind]()
                if found is not None:
                    return ContrastList(kind, found[0], found[1:])
        raise TrainingError(
            f"found no contrast list in {_TRIES} tries of each kind among {len(self._packed)}"
            " lists; prepare more of them, or train without --contrasts"
        )

    def _rows(self, kinds: frozenset[str]) -> NDArray[np.int64]:
        wanted = [place for place, kind in enumerate(self._packed.kinds) if kind in kinds]
        return np.flatnonzero(np.isin(self._packed.kind, wanted))

    def _field(self) -> list[Tokens] | None:
        """A subject; its own field without words of it, and the words in other fields."""
        if not len(self._subjects):
            return None
        row = int(self._draw.choice(self._subjects))
        texts = self._fields.of(row)
        return texts and [self._packed.queries[row], *texts]

    def _turned(self) -> list[Tokens] | None:
        """A statement, said otherwise or by its paper, and the same turned round."""
        if not len(self._statements):
            return None
        draw, row = self._draw, int(self._draw.choice(self._statements))
        query = self._packed.queries[row]
        turned = self._twisting.of(query, query, draw)
        if turned is None:
            return None
        right = self._restated(query) if draw.random() < _RESTATED else self._nearest(row, query)
        if right is None:
            return None
        wrong = self._restated(turned) if draw.random() < _RESTATED_WRONG else turned
        again = self._twisting.of(query, right, draw)
        return [query, right, wrong] if again is None else [query, right, wrong, again]

    def _exchanged(self) -> list[Tokens] | None:
        """A statement on two things in one of a paper's first sentences, exchanged.

        Of no title: those of some papers that cite are queries that were held out.
        """
        document = int(self._draw.integers(len(self._packed.texts)))
        some = self._sentences(self._packed.texts[document])[:_FIRST]
        if not some:
            return None
        return self._exchange.of(some[int(self._draw.integers(len(some)))], self._draw)

    def _nearest(self, row: int, query: Tokens) -> Tokens | None:
        """The sentence of a relevant text that has most of the query's words, not the query."""
        text = self._packed.instead[row]
        if not len(text):
            text = self._packed.texts[int(self._draw.choice(self._packed.of_positives(row)[0]))]
        found = [one for one in self._sentences(text) if not np.array_equal(one, query)]
        return max(found, key=lambda one: in_common(one, query), default=None)

    def _restated(self, text: Tokens) -> Tokens:
        """With an opening, without some of the little words."""
        draw, openings = self._draw, self._words.openings
        out = np.isin(text, self._words.little) & (draw.random(len(text)) < _LITTLE_LEFT_OUT)
        opening = np.array(openings[int(draw.integers(len(openings)))], int)
        return np.concatenate([opening, text[~out]]).astype(text.dtype)
