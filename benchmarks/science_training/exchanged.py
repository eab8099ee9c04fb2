"""Statements on two things, said otherwise, beside others that exchange the two.

"the effect of light on sleep" is "sleep depends on light", and not "light depends on sleep".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.contrast_words import ContrastWords, Form

_THING = (1, 8)  # tokens of either thing
_WRONG = 2

Tokens = NDArray[Any]
Draw = np.random.Generator


class Exchange:
    """Finds statements on two things, and says them in other words."""

    def __init__(self, words: ContrastWords) -> None:
        """Take the words that such statements are made with."""
        self._words = words
        self._effects, self._of, self._on = map(frozenset, (words.effects, words.of, words.on))
        self._origin, self._target = frozenset(words.origin), frozenset(words.target)
        self._stops, self._verbs = frozenset(words.stops), dict(words.verbs)
        self._clauses = frozenset(words.clauses)

    def of(self, text: Tokens, draw: Draw) -> list[Tokens] | None:
        """A query, what says the same, and what says it of the two exchanged.

        None where the text says nothing of the kind. Of "from a to b" the text itself is the query.
        """
        tokens: list[int] = text.tolist()
        for place, token in enumerate(tokens):
            if token in self._effects:
                found = self._effect(tokens, place)
                forms = self._words.effect_forms
            elif token in self._verbs:
                found = self._action(tokens, place)
                forms = self._verbs[token]
            elif token in self._origin:
                change = self._change(tokens, place)
                if change is not None:
                    return [np.array(one, text.dtype) for one in change]
                continue
            else:
                continue
            if found is not None:
                return _said(*found, forms, draw, text.dtype)
        return None

    def _effect(self, tokens: list[int], place: int) -> tuple[list[int], list[int]] | None:
        """Effect of a on b."""
        if place + 1 >= len(tokens) or tokens[place + 1] not in self._of:
            return None
        begin = place + 2
        middle = self._next(tokens, begin, self._on)
        if middle is None:
            return None
        end = self._stop(tokens, middle + 1)
        return self._pair(tokens[begin:middle], tokens[middle + 1 : end])

    def _action(self, tokens: list[int], place: int) -> tuple[list[int], list[int]] | None:
        """A verb between two things, the first of which begins the sentence."""
        before = tokens[:place]
        if self._stops & set(before):
            return None
        return self._pair(before, tokens[place + 1 : self._stop(tokens, place + 1)])

    def _change(self, tokens: list[int], place: int) -> list[list[int]] | None:
        """From a to b: the text, the change alone, the text with the two exchanged."""
        middle = self._next(tokens, place + 1, self._target)
        if middle is None:
            return None
        end = self._stop(tokens, middle + 1)
        pair = self._pair(tokens[place + 1 : middle], tokens[middle + 1 : end])
        if pair is None:
            return None
        a, b = pair
        turned = [tokens[place], *b, tokens[middle], *a]
        return [tokens, tokens[place:end], [*tokens[:place], *turned, *tokens[end:]]]

    def _next(self, tokens: list[int], begin: int, sought: frozenset[int]) -> int | None:
        """Where one of the words sought comes, before a thing would be too long or ends."""
        for place in range(begin, min(len(tokens), begin + _THING[1] + 1)):
            if tokens[place] in sought:
                return place
            if tokens[place] in self._stops:
                return None
        return None

    def _stop(self, tokens: list[int], begin: int) -> int:
        ends = (place for place in range(begin, len(tokens)) if tokens[place] in self._stops)
        return next(ends, len(tokens))

    def _pair(self, a: list[int], b: list[int]) -> tuple[list[int], list[int]] | None:
        fit = all(_THING[0] <= len(one) <= _THING[1] for one in (a, b))
        fit = fit and not self._clauses & {*a, *b}
        return (a, b) if fit and a != b else None


def _said(
    a: list[int], b: list[int], forms: Sequence[Form], draw: Draw, dtype: np.dtype[Any]
) -> list[Tokens]:
    """The statement in two of the forms, then wrongly in others or the same."""
    asked, right = draw.permutation(len(forms))[:2].tolist()
    wrong = draw.choice(len(forms), _WRONG, replace=False).tolist()
    said = [_in_form(forms[one], a, b) for one in (asked, right)]
    said += [_in_form(forms[one], b, a) for one in wrong]
    return [np.array(one, dtype) for one in said]


def _in_form(form: Form, a: list[int], b: list[int]) -> list[int]:
    b_first, before, between, after = form
    first, second = (b, a) if b_first else (a, b)
    return [*before, *first, *between, *second, *after]
