"""Does the training data know what the model is judged on? Overlaps found, told, removed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from scisearch.index.errors import ConfigError
from scisearch.rerank.training.lists import RerankingList
from scisearch.rerank.training.shingles import ShingleIndex, normalised, text_key

Role = Literal["query", "document"]
How = Literal["id", "text", "near"]
# Half of the shorter text's 8-word runs: a sentence of an abstract inside the whole of it, or two
# versions of one abstract. Papers of one group share a sentence, not half of their text.
LEAST_SHARE = 0.5
_BATCH = 2048  # training texts compared at once
_EXAMPLES = 3  # kept of each kind of leak


@dataclass(frozen=True, slots=True)
class SeenText:
    """A text on either side: of the training data, or of what the model is judged on."""

    text: str
    role: Role
    collection: str = ""  # where it is from, for the report
    text_id: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """Leaks that are counted together."""

    collection: str  # of the judged text
    how: How
    training: Role
    judged: Role


@dataclass(frozen=True, slots=True)
class Leak:
    """A training text that is (part of) a judged one; `share` is of the shorter one's runs."""

    kind: Kind
    training: SeenText
    judged: SeenText
    share: float

    def to_json(self) -> dict[str, object]:
        """The leak as JSON values."""
        return {
            "collection": self.kind.collection,
            "how": self.kind.how,
            "training": [self.training.role, self.training.text_id, self.training.text],
            "judged": [self.judged.role, self.judged.text_id, self.judged.text],
            "share": self.share,
        }


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What overlaps: counts, a few examples of each kind, and the texts to leave out.

    A training text counts once, by id before exact text before near duplicate.
    """

    n_training: int  # texts looked at
    n_judged: int
    least_share: float
    counts: Mapping[Kind, int]
    examples: tuple[Leak, ...]
    keys: frozenset[int]  # `text_key` of each leaking training text

    def holds(self, text: str) -> bool:
        """Whether this training text leaks."""
        return text_key(normalised(text)) in self.keys

    def to_json(self) -> dict[str, object]:
        """The report as JSON values, for the model card."""
        return {
            "training_texts": self.n_training,
            "judged_texts": self.n_judged,
            "leaking_texts": len(self.keys),
            "least_share": self.least_share,
            "counts": [
                {
                    "collection": kind.collection,
                    "how": kind.how,
                    "training": kind.training,
                    "judged": kind.judged,
                    "texts": count,
                }
                for kind, count in self.counts.items()
            ],
            "examples": [leak.to_json() for leak in self.examples],
        }


@dataclass(frozen=True, slots=True)
class Removal:
    """The lists that are left, and what went."""

    lists: tuple[RerankingList, ...]
    lists_removed: int  # their query leaks, or no positive or no negative document is left
    documents_removed: int  # from lists that stay


def find_leaks(
    training: Iterable[SeenText], judged: Iterable[SeenText], *, least_share: float = LEAST_SHARE
) -> LeakReport:
    """The training texts that the model must not see, because it is judged on them.

    A text leaks if a judged one, query or document, has its id, its words (normalised), or shares
    at least `least_share` of the 8-word runs of the shorter of the two. Bare numbers below a
    million are taken for no id: every collection counts from 1. A run that stands in more than 50
    judged texts is boilerplate and counts for nothing.

    Time and memory grow with the judged texts (12 bytes per word, three times that for a moment);
    the training texts are read once, in batches.

    Raises:
        ConfigError: `least_share` is not above 0 and at most 1.
    """
    if not 0 < least_share <= 1:
        raise ConfigError(f"least share {least_share}; expected above 0 and at most 1")
    finder = _Finder(judged, least_share)
    counts: Counter[Kind] = Counter()
    examples: list[Leak] = []
    keys: set[int] = set()
    n_training = 0
    for batch in _batches(training):
        n_training += len(batch)
        for key, leak in finder.leaks(batch):
            if key in keys:
                continue
            keys.add(key)
            counts[leak.kind] += 1
            if counts[leak.kind] <= _EXAMPLES:
                examples.append(leak)
    ordered = dict(sorted(counts.items(), key=lambda item: _order(item[0])))
    examples.sort(key=lambda leak: _order(leak.kind))
    return LeakReport(
        n_training, len(finder), least_share, ordered, tuple(examples), frozenset(keys)
    )


def training_texts(lists: Iterable[RerankingList], *, collection: str = "") -> Iterator[SeenText]:
    """Every query and document of the lists, each text once for each role."""
    known: set[tuple[Role, int]] = set()
    for one in lists:
        role: Role = "query"
        for text in (one.query, *one.positives, *one.negatives):
            key = (role, hash(text))
            if key not in known:
                known.add(key)
                yield SeenText(text, role, collection)
            role = "document"


def remove_leaks(lists: Iterable[RerankingList], report: LeakReport) -> Removal:
    """The lists without the texts of the report.

    A list goes when its query leaks or when no positive or no negative document is left; from the
    others only the leaking documents go.
    """
    left: list[RerankingList] = []
    lists_removed = documents_removed = 0
    for one in lists:
        kept = one.without(report.holds)
        if report.holds(one.query) or not kept.positives or not kept.negatives:
            lists_removed += 1
            continue
        documents_removed += len(one) - len(kept)
        left.append(kept)
    return Removal(tuple(left), lists_removed, documents_removed)


def render_leaks(report: LeakReport) -> str:
    """The report as a few lines of text."""
    lines = [
        f"{len(report.keys)} of {report.n_training} training texts overlap with the"
        f" {report.n_judged} that the model is judged on"
    ]
    shown = {leak.kind: leak for leak in reversed(report.examples)}
    for kind, count in report.counts.items():
        line = f"  {kind.collection}: {count} {_HOW[kind.how]}, {kind.training} and {kind.judged}"
        lines.append(f"{line}, such as {_short(shown[kind].training.text)}")
    return "\n".join(lines)


_HOW: Mapping[How, str] = {"id": "with one id", "text": "equal", "near": "near duplicates"}


class _Finder:
    """The judged texts by id, by words and by shingles."""

    def __init__(self, judged: Iterable[SeenText], least_share: float) -> None:
        self._least_share = least_share
        self._texts = list(judged)
        normal = [normalised(one.text) for one in self._texts]
        self._by_key: dict[int, int] = {}
        self._by_id: dict[str, int] = {}
        for i, one in enumerate(self._texts):
            if normal[i]:
                self._by_key.setdefault(text_key(normal[i]), i)
            if one.text_id is not None and _distinctive(one.text_id):
                self._by_id.setdefault(_same_id(one.text_id), i)
        self._shingles = ShingleIndex(normal)

    def __len__(self) -> int:
        return len(self._texts)

    def leaks(self, batch: Sequence[SeenText]) -> Iterator[tuple[int, Leak]]:
        normal = [normalised(one.text) for one in batch]
        near = {
            overlap.text: overlap
            for overlap in self._shingles.overlaps(normal, least_share=self._least_share)
        }
        for i, one in enumerate(batch):
            key = text_key(normal[i])
            by_id = self._by_id.get(_same_id(one.text_id)) if one.text_id is not None else None
            if by_id is not None:
                yield key, self._leak("id", one, by_id, 1.0)
            elif key in self._by_key:
                yield key, self._leak("text", one, self._by_key[key], 1.0)
            elif i in near:
                yield key, self._leak("near", one, near[i].indexed, near[i].share)

    def _leak(self, how: How, training: SeenText, place: int, share: float) -> Leak:
        judged = self._texts[place]
        kind = Kind(judged.collection, how, training.role, judged.role)
        return Leak(kind, training, judged, share)


def _distinctive(text_id: str) -> bool:
    """Whether an id means the same in two collections."""
    same = _same_id(text_id)
    return len(same) > 6 if same.isdecimal() else len(same) > 3


def _same_id(text_id: str) -> str:
    return text_id.strip().casefold().removeprefix("https://doi.org/")


def _batches(texts: Iterable[SeenText]) -> Iterator[list[SeenText]]:
    source = iter(texts)
    while batch := list(islice(source, _BATCH)):
        yield batch


def _order(kind: Kind) -> tuple[str, str, str, str]:
    return (kind.collection, kind.how, kind.training, kind.judged)


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return repr(one_line if len(one_line) <= 60 else one_line[:60] + "…")
