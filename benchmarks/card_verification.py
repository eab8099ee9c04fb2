"""`search benchmark --verify`: what differs between a card and the same benchmark run again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from scisearch.benchmarks.card import Card

Kind = Literal["input", "quality", "version", "time"]
_TIME_FACTOR = 1.5  # times within this factor of each other pass for equal


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is not what the card says."""

    kind: Kind
    what: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class CardVerification:
    """The changes; only those of inputs and quality speak against the card."""

    n_values: int  # quality values compared, query by query ones included
    changes: tuple[Change, ...]

    @property
    def reproduced(self) -> bool:
        """Whether inputs and quality are exactly the same."""
        return not any(change.kind in ("input", "quality") for change in self.changes)

    def to_json(self) -> dict[str, object]:
        """The verification as JSON values."""
        return {
            "reproduced": self.reproduced,
            "n_values": self.n_values,
            "changes": [
                {"kind": one.kind, "what": one.what, "before": one.before, "after": one.after}
                for one in self.changes
            ],
        }


def compare_cards(before: Card, after: Card) -> CardVerification:
    """What changed from one card to the other of the same request.

    Inputs (corpus, queries, judgements, weights) and quality must be equal to the last bit; a time
    is told if it is more than 1.5 times the other; versions and hardware are told.
    """
    old, new = _quality(before), _quality(after)
    changes = [
        *_differences("input", _inputs(before), _inputs(after)),
        *_differences("quality", old, new),
        *_differences("version", _versions(before), _versions(after)),
        *_times(before, after),
    ]
    return CardVerification(len(old), tuple(changes))


def _inputs(card: Card) -> dict[str, Any]:
    digests = card["collection"]["digests"]
    # The index itself may differ where a library writes other bytes; its results may not.
    names = ("corpus", "queries", "qrels", "protocol")
    found = {name: digests[name] for name in names if name in digests}
    for name, system in card["systems"].items():
        found |= {f"{name} {model}": sha256 for model, sha256 in system["models"].items()}
    return found


def _quality(card: Card) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, system in card["systems"].items():
        quality = system["quality"]
        found |= {f"{name} {m}": of["mean"] for m, of in quality["measures"].items()}
        found |= {f"{name} nDCG@10 of {q}": value for q, value in quality["per_query"].items()}
    return found


def _versions(card: Card) -> dict[str, Any]:
    environment = card["environment"]
    hardware = {name: environment["hardware"][name] for name in ("processor", "accelerator")}
    return {**environment["versions"], **hardware}


def _differences(kind: Kind, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield Change(kind, name, before.get(name), after.get(name))


def _times(before: Card, after: Card) -> Iterator[Change]:
    for name, system in before["systems"].items():
        if name not in after["systems"]:
            continue
        for point in ("p50", "p95"):
            old = system["latency"]["total"][point]
            new = after["systems"][name]["latency"]["total"][point]
            if max(old, new) > _TIME_FACTOR * min(old, new):
                yield Change("time", f"{name} {point} in ms", round(old, 3), round(new, 3))
