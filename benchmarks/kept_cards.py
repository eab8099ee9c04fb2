"""Cards small enough to keep in a repository: numbers, digests and ids, no text of anybody.

A kept card has the form of a whole one, and `search benchmark --verify` takes it; a digest stands
for the values query by query, and what a reader of texts would look for is left out.
"""

import json
from pathlib import Path
from typing import Any

from scisearch.benchmarks.card import Card, digest_of, read_card

FOLDER = Path(__file__).parent / "cards"
_ENVIRONMENT = ("versions", "hardware", "seed", "bootstrap_resamples", "randomisation_samples")
_LOSS = ("depth", "candidates_of", "recall_ceiling", "oracle", "last", "reached", "relevant")


def kept_card(card: Card, *, times: bool = True) -> dict[str, Any]:
    """What is kept of a card.

    Args:
        card: a whole one.
        times: with latency and speed; a busy machine's are better left out.
    """
    environment = card["environment"]
    return {
        "card_format": card["card_format"],
        "collection": card["collection"],
        "systems": {name: _system(of, times) for name, of in card["systems"].items()},
        "tests": card["tests"],
        "loss": {
            **{name: card["loss"][name] for name in _LOSS},
            "truncation": card["loss"]["truncation"],
        },
        "environment": {name: environment[name] for name in _ENVIRONMENT},
        "request": _request(card["request"]),
    }


def write_kept_card(card: Card, path: Path, *, times: bool = True) -> None:
    """Write what is kept of a card as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(kept_card(card, times=times), ensure_ascii=True, indent=1) + "\n"
    path.write_text(text, encoding="ascii")


def read_kept_cards(folder: Path = FOLDER) -> dict[str, Card]:
    """Name -> card of the kept cards, by name.

    Raises:
        ConfigError: one is no card of this format.
    """
    return {path.stem: read_card(path) for path in sorted(folder.glob("*.json"))}


def _system(system: Card, times: bool) -> dict[str, Any]:
    quality = system["quality"]
    reliability = system["reliability"]
    return {
        "models": system["models"],
        "quality": {
            "measures": quality["measures"],
            "ties": quality["ties"],
            "per_query_sha256": digest_of(quality["per_query"]),
        },
        "reliability": reliability and {name: reliability[name] for name in ("ece", "brier")},
        "latency": {"n": system["latency"]["n"], "total": system["latency"]["total"]}
        if times
        else None,
        "pairs_per_second": system["pairs_per_second"] if times else None,
        "queries_per_second": system["batch"]["queries_per_second"] if times else None,
    }


def _request(request: Card) -> dict[str, Any]:
    """The request with the last part of every path: where things lay is nobody's business."""
    search = dict(request["search"])
    for name in ("encoder", "reranker"):
        if search[name] is not None and Path(search[name]).is_absolute():
            search[name] = Path(search[name]).name
    folder = Path(request["collection"])
    lay_somewhere = folder.is_absolute() or folder.is_dir()  # else `demo`, or an ir_datasets id
    collection = folder.name if lay_somewhere else request["collection"]
    ignore = request.get("ignore") and Path(request["ignore"]).name
    return {**request, "collection": collection, "ignore": ignore, "search": search}
