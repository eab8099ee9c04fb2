"""Sentences with a query's words in papers of another field, and of its own papers without them.

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
_FOUND = 8  # of them, among which those least like the query's candidates are taken
_SAME_WORD = 2  # sentences with it in a list; and one of yet another field
_CANDIDATES = 12  # whose words tell of a query's field
_REWORDED = 0.6  # share of the lists whose right text has as few of the query's words as there are

Tokens = NDArray[Any]
_NONE: Tokens = np.empty(0, np.int64)


class OtherFields:
    """Which words the documents of packed lists have, and who else has them."""

    def __init__(
        self,
        packed: PackedLists,
        content: Sequence[int],
        little: Sequence[int],
        sentences: Callable[[Tokens], list[Tokens]],
        draw: np.random.Generator,
    ) -> None:
        """Look into the documents, or into _MOST_DOCUMENTS of them.

        `content` are words that may tell of a field, `little` those that tell of nothing;
        `sentences` takes a text apart.

        Raises:
            TrainingError: there is no document.
        """
        if not len(packed.texts):
            raise TrainingError("found no packed document; prepare more lists")
        self._packed, self._split, self._draw = packed, sentences, draw
        self._little = np.array(sorted(little), np.int64)
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
        be of yet another, without the word. In _REWORDED of the lists the first has the fewest of
        the query's words, and the others have more of them. None where there are none.
        """
        packed, draw = self._packed, self._draw
        query = packed.queries[row]
        asked = self._words_in(query)
        rare = asked[self._rare[asked]]
        if not len(rare):
            return None
        word = int(draw.choice(rare))
        answer = int(draw.choice(packed.of_positives(row)[0]))
        own = [one for one in self._sentences(answer) if word not in one]
        if not own:
            return None
        subject = self._words(answer)
        said = np.setdiff1d(query, self._little)
        if draw.random() < _REWORDED:
            right = min(own, key=lambda one: in_common(one, said))
            places = self._elsewhere(row, rare, subject)
            wrong = [self._with(rare, place, said) for place in places]
            least = in_common(right, said)
            wrong = [one for one in wrong if in_common(one, said) > least]
        else:
            right = max(own, key=lambda one: in_common(one, asked))
            if draw.random() < 0.5:
                right = own[int(draw.integers(len(own)))]
            only = np.array([word])
            wrong = [self._with(only, place) for place in self._elsewhere(row, only, subject)]
        wrong = [one for one in wrong if len(one)]
        return [right, *wrong, *self._foreign(subject)] if wrong else None

    def _elsewhere(self, row: int, words: Tokens, subject: Tokens) -> list[int]:
        """Places of documents that have one of the words, and nothing else of the subject.

        Of some, those with the least share of words that the query's candidates have.
        """
        places = np.concatenate([self._places_with[word] for word in words.tolist()])
        places, counts = np.unique(places, return_counts=True)
        order = self._draw.permutation(len(places))
        order = order[np.argsort(-counts[order], kind="stable")][:_TRIES]
        far = [one for one in places[order].tolist() if self._is_far(one, subject, words)][:_FOUND]
        packed = self._packed
        near = [*packed.of_positives(row)[0].tolist(), *packed.of_negatives(row)[0].tolist()]
        field = np.concatenate([self._words(document) for document in near[:_CANDIDATES]])
        far.sort(key=lambda place: np.isin(self._words_at[place], field).mean())
        return far[:_SAME_WORD]

    def _with(self, words: Tokens, place: int, said: Tokens | None = None) -> Tokens:
        """A sentence there that has one of the words, most of what is `said`; none: empty."""
        some = [one for one in self._sentences(self._documents[place]) if np.isin(words, one).any()]
        if not some:
            return _NONE
        if said is None:
            return some[int(self._draw.integers(len(some)))]
        return max(some, key=lambda one: in_common(one, said))

    def _foreign(self, subject: Tokens) -> list[Tokens]:
        """A sentence of any document that shares nothing with the subject."""
        for place in self._draw.integers(len(self._documents), size=_TRIES // 2).tolist():
            some = self._sentences(self._documents[place])
            if some and self._is_far(place, subject, _NONE):
                return [some[int(self._draw.integers(len(some)))]]
        return []

    def _is_far(self, place: int, subject: Tokens, but: Tokens) -> bool:
        """Whether the document has at most _SHARED of the subject's words, `but` one of these."""
        # what is common went from `subject`, if not from the words of every place
        both = np.intersect1d(self._words_at[place], subject, assume_unique=True)
        return len(both) - min(1, int(np.isin(both, but).sum())) <= _SHARED

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
