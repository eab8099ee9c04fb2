"""What a benchmark report says of other libraries that ran beside our systems."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scisearch.benchmarks.card import MAIN_MEASURE, Card
from scisearch.console.blocks import Block, Heading
from scisearch.console.tables import Table, p_text


def systems_and_peers(card: Card) -> dict[str, Any]:
    """Our systems, then the peers that gave a result: the rows of one table."""
    return {**card["systems"], **card.get("peers", {}).get("systems", {})}


def failed_lines(card: Card) -> Iterator[str]:
    """A line for each peer without a result."""
    failed = card.get("peers", {}).get("failed", {})
    if failed:
        yield "\n".join(f"no result of peer {name}: {why}" for name, why in failed.items())


def peer_blocks(card: Card) -> Iterator[Block]:
    """The peers' part of the report; nothing where none was asked for."""
    peers = card.get("peers")
    if peers is None:
        return
    yield Heading("Peers")
    yield (
        "Other libraries on the same documents, queries and model files, each written as its own"
        " documentation shows, in a process of its own, one after another after our systems. A"
        " query is timed in that process, from its text to the ids of its hits, as many as a run"
        " file has; our times include reading ten documents and cutting their snippets."
    )
    yield from failed_lines(card)
    if not peers["systems"]:
        return
    yield _peer_table(peers["systems"])
    yield test_table(peers["tests"])
    yield "Peer minus ours; p as above, Holm's correction over the rows of this table."
    yield Heading("Where a peer is ahead of our system of its kind", level=3)
    if peers["ahead"]:
        yield _ahead_table(peers["ahead"])
    else:
        yield "Nowhere: in no measure, and at no percentile of the time of one query."


def test_table(tests: Sequence[Mapping[str, Any]]) -> Table:
    """Paired tests, a row each."""
    rows = [
        [
            f"{test['second']} - {test['first']}",
            f"{test['mean']:+.4f}",
            f"{test['interval'][0]:+.4f} to {test['interval'][1]:+.4f}",
            p_text(test["p"]),
            p_text(test["p_holm"]),
            *(str(test[name]) for name in ("better", "same", "worse")),
        ]
        for test in tests
    ]
    header = [MAIN_MEASURE, "difference", "95% interval", "p", "p (Holm)"]
    return Table([*header, "better", "same", "worse"], rows)


def _peer_table(peers: Mapping[str, Any]) -> Table:
    rows = [
        [
            name,
            peer["kind"],
            peer["how"],
            ", ".join(f"{what} {version}" for what, version in peer["versions"].items()),
            f"{peer['build_seconds']:.2f}",
            "" if peer["peak_rss_bytes"] is None else f"{peer['peak_rss_bytes'] / 1e6:.0f}",
        ]
        for name, peer in peers.items()
    ]
    header = ["peer", "compares with", "how", "versions", "index s", "peak memory MB"]
    return Table(header, rows, n_left=4)


def _ahead_table(ahead: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            one["peer"],
            one["what"],
            f"{one['peer_value']:.4f}",
            one["system"],
            f"{one['own_value']:.4f}",
        ]
        for one in ahead
    ]
    return Table(["peer", "figure", "peer's", "our system", "ours"], rows, n_left=2)
