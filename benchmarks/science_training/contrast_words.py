"""Words that contrast lists are made with, as the ids of one tokenizer's tokens."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from scisearch.index.tokenizer import TextTokenizer

Ids = tuple[int, ...]
Form = tuple[bool, Ids, Ids, Ids]  # what stands before, between and after a and b; true: b is first

# What a statement may begin with, and what it can do without.
OPENINGS = (
    "we show that",
    "our results suggest that",
    "it was found that",
    "here we report that",
    "in this study,",
    "evidence indicates that",
)
_LITTLE = "the a an of in very also this these our we"
# "the effect of a on b", and other ways to say so
_EFFECTS = "effect effects influence impact role"
_EFFECT_FORMS = (
    "the effect of {a} on {b}",
    "{a} affects {b}",
    "how {a} changes {b}",
    "influence of {a} on {b}",
    "{b} depends on {a}",
    "{b} is influenced by {a}",
    "changes of {b} caused by {a}",
    "{b} was altered by {a}",
)
# One acts on another: third person, infinitive, participle.
_VERBS = (
    "inhibits inhibit inhibited, activates activate activated, induces induce induced,"
    " causes cause caused, reduces reduce reduced, increases increase increased,"
    " improves improve improved, predicts predict predicted, promotes promote promoted,"
    " enhances enhance enhanced, affects affect affected, suppresses suppress suppressed,"
    " regulates regulate regulated, mediates mediate mediated, drives drive driven,"
    " determines determine determined, controls control controlled,"
    " modulates modulate modulated, outperforms outperform outperformed"
)
_STOPS = ": , . ; ? in by with for using of and during from ( )"
# no thing, or more than one
_CLAUSES = (
    "we i it they this these that which who how what when if can could may might is are was were be"
    " been has have had not does do did and or but to"
)
_LEAST_LETTERS = 5  # of a word that may mean something else in another field


@dataclass(frozen=True, slots=True)
class ContrastWords:
    """Token ids. A word that is no token of its own is left out."""

    content: Ids  # whole words of letters alone, five or more
    ends: Ids  # of a sentence
    openings: tuple[Ids, ...]
    little: Ids
    effects: Ids
    effect_forms: tuple[Form, ...]
    verbs: tuple[tuple[int, tuple[Form, ...]], ...]  # third person, and the forms with it
    of: Ids
    on: Ids
    origin: Ids  # "from"
    target: Ids  # "to", "into"
    stops: Ids
    clauses: Ids  # none of them is in the name of a thing

    @classmethod
    def from_json(cls, of: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` gave, lists for tuples."""
        return cls(**{name: tuples(value) for name, value in of.items()})


def find_contrast_words(tokens: TextTokenizer) -> ContrastWords:
    """The words in a tokenizer's vocabulary."""
    known = tokens.vocabulary

    def ids(words: str) -> Ids:
        return tuple(known[word] for word in words.split() if word in known)

    verbs = [tuple(verb.split()) for verb in _VERBS.split(",")]
    return ContrastWords(
        content=tuple(
            sorted(
                place
                for word, place in known.items()
                if len(word) >= _LEAST_LETTERS and word.isascii() and word.isalpha()
            )
        ),
        ends=ids(". ? !"),
        openings=tuple(tuple(map(int, one)) for one in tokens.encode(OPENINGS)),
        little=ids(_LITTLE),
        effects=ids(_EFFECTS),
        effect_forms=_forms(tokens, _EFFECT_FORMS),
        verbs=tuple(
            (known[third], _forms(tokens, _verb_forms(third, infinitive, participle)))
            for third, infinitive, participle in verbs
            if third in known
        ),
        of=ids("of"),
        on=ids("on in"),
        origin=ids("from"),
        target=ids("to into"),
        stops=ids(_STOPS),
        clauses=ids(_CLAUSES),
    )


def tuples(value: Any) -> Any:
    """Tuples for the lists in a JSON value, at every depth."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(tuples(one) for one in value)
    return value


def _verb_forms(third: str, infinitive: str, participle: str) -> tuple[str, ...]:
    return (
        f"{{a}} {third} {{b}}",
        f"{{b}} is {participle} by {{a}}",
        f"does {{a}} {infinitive} {{b}}?",
        f"{{a}} can {infinitive} {{b}}",
    )


def _forms(tokens: TextTokenizer, forms: Sequence[str]) -> tuple[Form, ...]:
    found: list[Form] = []
    for form in forms:
        parts = [part.strip() for part in re.split(r"\{[ab]\}", form)]
        before, between, after = (
            tuple(map(int, one)) if part else ()
            for part, one in zip(parts, tokens.encode(parts), strict=True)
        )
        found.append((form.index("{b}") < form.index("{a}"), before, between, after))
    return tuple(found)
