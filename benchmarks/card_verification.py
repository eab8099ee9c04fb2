"""`search benchmark --verify`: what differs between a card and the same benchmark run again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from scisearch.benchmarks.card import Card, digest_of

Kind = Literal["input", "quality", "peer", "version", "time"]
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
    """The changes; only those of inputs and of our own systems' quality speak against the card."""

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
    is told if it is more than 1.5 times the other; versions, hardware and peers are told.
    """
    # a kept card has a digest in place of the values query by query
    whole = all("per_query" in s["quality"] for c in (before, after) for s in c["systems"].values())
    old, new = _quality(before, by_query=whole), _quality(after, by_query=whole)
    changes = [
        *_differences("input", _inputs(before), _inputs(after)),
        *_differences("quality", old, new),
        *_differences("peer", _peers(before), _peers(after)),
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


def _quality(card: Card, *, by_query: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, system in card["systems"].items():
        quality = system["quality"]
        found |= {f"{name} {m}": of["mean"] for m, of in quality["measures"].items()}
        if by_query:
            found |= {f"{name} nDCG@10 of {q}": value for q, value in quality["per_query"].items()}
        else:
            digest = quality.get("per_query_sha256") or digest_of(quality["per_query"])
            found[f"{name} nDCG@10 of all queries, sha256"] = digest
    return found


def _peers(card: Card) -> dict[str, Any]:
    """Their means, versions and failures: what other libraries do is told, not promised."""
    found: dict[str, Any] = {}
    peers = card.get("peers", {"systems": {}, "failed": {}})
    for name, peer in peers["systems"].items():
        found |= {f"{name} {m}": of["mean"] for m, of in peer["quality"]["measures"].items()}
        found |= {f"{name} with {what}": version for what, version in peer["versions"].items()}
    return found | {f"{name} failed": line for name, line in peers["failed"].items()}


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
        if name not in after["systems"] or system["latency"] is None:
            continue
        for point in ("p50", "p95"):
            old = system["latency"]["total"][point]
            new = after["systems"][name]["latency"]["total"][point]
            if max(old, new) > _TIME_FACTOR * min(old, new):
                yield Change("time", f"{name} {point} in ms", round(old, 3), round(new, 3))
