"""Words that a training changes in its texts, as the ids of one tokenizer's tokens.

They are kept in the packed file, so that a trainer needs no tokenizer.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from scisearch.benchmarks.science_training.contrast_words import (
    ContrastWords,
    find_contrast_words,
    tuples,
)
from scisearch.index.tokenizer import TextTokenizer

# What may stand before and after the subject of a request, as people write to a librarian.
PHRASES: tuple[tuple[str, str], ...] = (
    ("i am interested in information on", ". any papers on this subject would be welcome."),
    ("i would like to find articles dealing with", "."),
    ("what is known about", "?"),
    ("papers on", ""),
    ("papers about", ", their methods and their results"),
    ("what has been published on", "?"),
    ("find work that describes or evaluates", "."),
    (
        "my research concerns",
        ". i want to see what others have done, theory as well as practice, and would like"
        " references to both.",
    ),
    ("are there studies of", "?"),
    ("information on", "and closely related subjects"),
    ("literature on", "in general, not only particular applications"),
    ("i am looking for any discussion of", "and how it is used"),
    (
        "the general subject is",
        "; what are its problems and which approaches have been proposed?",
    ),
    ("how can one deal with", "?"),
    ("documents relevant to", "are wanted; reviews and surveys too"),
)
FUNCTION_WORDS = (
    "the of and in a to for on with by an is are from that as at be this which we it its or via"
    " using based . , ?"
)
AUXILIARIES = "is are was were does do did can could has have had will may"
# One of each is the other turned round.
OPPOSITES = (
    "increase decrease, increases decreases, increased decreased, increasing decreasing,"
    " higher lower, high low, more less, positive negative, positively negatively,"
    " greater smaller, enhanced reduced, gain loss, faster slower, better worse, best worst,"
    " before after, with without, early late, earlier later, strong weak, stronger weaker,"
    " up down, above below, acute chronic, male female, men women, left right, long short,"
    " longer shorter, presence absence, success failure, minimum maximum, always never,"
    " often rarely, rise fall, rises falls, rising falling, upper lower, inhibition activation,"
    " heavy light, major minor, young old, children adults, cause prevent, causes prevents,"
    " causing preventing, accelerated delayed"
)
_MOST_DIGITS = 4

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """Token ids. A word that is no token of its own is left out, as is an opposite of one."""

    phrases: tuple[tuple[Ids, Ids], ...]
    function_words: Ids
    opposites: tuple[tuple[int, int], ...]
    numbers: tuple[Ids, ...]  # of one digit, of two, three and four
    auxiliaries: Ids
    negation: int | None  # "not"
    contrasts: ContrastWords | None = None  # None: packed before there were contrast lists

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, of: Mapping[str, Any]) -> Self:
        """What `to_json` gave, lists for tuples."""
        plain = {name: tuples(value) for name, value in of.items() if name != "contrasts"}
        contrasts = of.get("contrasts")
        return cls(**plain, contrasts=contrasts and ContrastWords.from_json(contrasts))


def find_words(tokens: TextTokenizer) -> Words:
    """The words in a tokenizer's vocabulary."""
    known = tokens.vocabulary
    pairs = [tuple(pair.split()) for pair in OPPOSITES.split(",")]
    digits = [word for word in sorted(known) if word.isascii() and word.isdigit()]
    phrases = [tokens.encode(phrase) for phrase in PHRASES]
    return Words(
        phrases=tuple((tuple(map(int, a)), tuple(map(int, b))) for a, b in phrases),
        function_words=tuple(known[word] for word in FUNCTION_WORDS.split() if word in known),
        opposites=tuple((known[a], known[b]) for a, b in pairs if a in known and b in known),
        numbers=tuple(
            tuple(known[word] for word in digits if len(word) == length)
            for length in range(1, _MOST_DIGITS + 1)
        ),
        auxiliaries=tuple(known[word] for word in AUXILIARIES.split() if word in known),
        negation=known.get("not"),
        contrasts=find_contrast_words(tokens),
    )
