"""Sentences with a query's rare word in papers of another field, and the query's own without it.

What a scorer of shared words gets wrong: "plasma" asked by an astronomer, answered by a physician.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.packed import PackedLists, Ragged
from scisearch.benchmarks.science_training.sentences import in_common
from scisearch.index.errors import TrainingError

# Kinds whose queries name a subject.
SUBJECTS = frozenset(
    {"title", "citation", "keywords", "qkeywords", "heading", "tldr", "definition"}
)
_MOST_DOCUMENTS = 60_000  # looked into for words, drawn at random
_COMMON = 0.04  # share of the documents: such a word tells nothing of a field
_RARE = (12, 0.012)  # documents, at least; share of them, at most
_SHARED = 1  # other words that two documents of unlike fields have in common, at most
_TRIES = 40  # documents with the word
_SAME_WORD = 2  # sentences with it in a list; and one of yet another field

Tokens = NDArray[Any]


class OtherFields:
    """Which words the documents of packed lists have, and who else has them."""

    def __init__(
        self,
        packed: PackedLists,
        content: Sequence[int],
        sentences: Callable[[Tokens], list[Tokens]],
        draw: np.random.Generator,
    ) -> None:
        """Look into the documents, or into _MOST_DOCUMENTS of them.

        `content` are words that may tell of a field; `sentences` takes a text apart.

        Raises:
            TrainingError: there is no document.
        """
        if not len(packed.texts):
            raise TrainingError("found no packed document; prepare more lists")
        self._packed, self._split, self._draw = packed, sentences, draw
        size = 1 + max(content, default=0)
        self._content = np.zeros(size, bool)
        self._content[list(content)] = True
        count = min(_MOST_DOCUMENTS, len(packed.texts))
        self._documents: list[int] = draw.choice(len(packed.texts), count, replace=False).tolist()
        self._words_at = [self._words(document) for document in self._documents]
        places = np.repeat(np.arange(count), [len(one) for one in self._words_at])
        values = np.concatenate(self._words_at)
        frequency = np.bincount(values, minlength=size)
        self._content &= frequency <= max(_RARE[0], _COMMON * count)
        self._rare = (frequency >= _RARE[0]) & (frequency <= max(_RARE[0], _RARE[1] * count))
        kept = self._rare[values]
        self._places_with = Ragged.inverted(values[kept], places[kept], size)

    def of(self, row: int) -> list[Tokens] | None:
        """What answers the query of list `row` without a rare word of it, then others with it.

        The others are of documents that have nothing else of the first one's subject; the last may
        be of yet another, without the word. None where there are none.
        """
        packed, draw = self._packed, self._draw
        asked = self._words_in(packed.queries[row])
        rare = asked[self._rare[asked]]
        if not len(rare):
            return None
        word = int(draw.choice(rare))
        answer = int(draw.choice(packed.of_positives(row)[0]))
        own = [one for one in self._sentences(answer) if word not in one]
        if not own:
            return None
        right = max(own, key=lambda one: in_common(one, asked))
        if draw.random() < 0.5:
            right = own[int(draw.integers(len(own)))]
        subject = self._words(answer)
        wrong = self._elsewhere(word, subject)
        if not wrong:
            return None
        return [right, *wrong, *self._foreign(subject)]

    def _elsewhere(self, word: int, subject: Tokens) -> list[Tokens]:
        """Sentences with the word, of documents that share nothing else with the subject."""
        found: list[Tokens] = []
        for place in self._draw.permutation(self._places_with[word])[:_TRIES].tolist():
            if not self._is_far(place, subject, word):
                continue
            some = [one for one in self._sentences(self._documents[place]) if word in one]
            if some:
                found.append(some[int(self._draw.integers(len(some)))])
            if len(found) == _SAME_WORD:
                break
        return found

    def _foreign(self, subject: Tokens) -> list[Tokens]:
        """A sentence of any document that shares nothing with the subject."""
        for place in self._draw.integers(len(self._documents), size=_TRIES // 2).tolist():
            some = self._sentences(self._documents[place])
            if some and self._is_far(place, subject, -1):
                return [some[int(self._draw.integers(len(some)))]]
        return []

    def _is_far(self, place: int, subject: Tokens, word: int) -> bool:
        # what is common went from `subject`, if not from the words of every place
        both = np.intersect1d(self._words_at[place], subject, assume_unique=True)
        return int(np.count_nonzero(both != word)) <= _SHARED

    def _sentences(self, document: int) -> list[Tokens]:
        return self._split(self._packed.texts[document])

    def _words(self, document: int) -> Tokens:
        return self._words_in(self._packed.document(document))

    def _words_in(self, text: Tokens) -> Tokens:
        """The different content words of a text, ascending."""
        found: Tokens = np.unique(text).astype(np.int64)
        found = found[found < len(self._content)]
        content: Tokens = found[self._content[found]]
        return content
