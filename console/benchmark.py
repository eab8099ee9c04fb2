"""A benchmark card as a report for a reader, and what its verification found."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scisearch.benchmarks.card import MAIN_MEASURE, MEASURES, Card
from scisearch.console.benchmark_costs import (
    batch_blocks,
    facts,
    index_blocks,
    latency_table,
    number,
)
from scisearch.console.benchmark_loss import loss_blocks, reliability_blocks
from scisearch.console.benchmark_peers import (
    failed_lines,
    peer_blocks,
    systems_and_peers,
    test_table,
)
from scisearch.console.blocks import Block, Heading, Picture
from scisearch.console.tables import Table

if TYPE_CHECKING:
    from scisearch.benchmarks.card_verification import CardVerification

_SHOWN_CHANGES = 20


def render_summary(card: Card, out: Path) -> str:
    """Quality and time of each system, the two sentences of the loss report, and the files."""
    return "\n\n".join(
        [
            *filter(None, [_protocol_text(card["collection"].get("protocol")).strip()]),
            _summary_table(card).plain(),
            *failed_lines(card),
            "\n".join(card["loss"]["advice"]),
            f"{out / 'report.html'}, {out / 'report.md'}, {out / 'card.json'}, {out / 'runs'}",
        ]
    )


def report_blocks(card: Card, pictures: Sequence[str] = ()) -> list[Block]:
    """The whole card; `pictures` are the names of those that were drawn."""
    collection = card["collection"]
    return [
        Heading(f"{collection['name']}: quality and latency", level=1),
        f"{collection['n_documents']:,} documents, {collection['n_queries']} queries with a"
        " positive judgement." + _protocol_text(collection.get("protocol")),
        _summary_table(card),
        "**" + " ".join(card["loss"]["advice"]) + "**",
        *_pictures(pictures, "quality-latency"),
        Heading("Quality"),
        _quality_table(card),
        "Brackets: 95% bootstrap intervals over queries. Lists are cut at"
        f" {max(100, card['loss']['depth'])} hits.",
        *_tie_blocks(card),
        *_test_blocks(card),
        *_pictures(pictures, "gains"),
        *_delta_blocks(card),
        *peer_blocks(card),
        Heading("What is lost, and where"),
        *loss_blocks(card["loss"]),
        *_pictures(pictures, "recall"),
        *reliability_blocks(card),
        *_pictures(pictures, "reliability"),
        Heading("Latency, one query at a time"),
        latency_table(card),
        "Milliseconds, p50 / p95 / p99; the systems take turns at each query, after a warm-up."
        " `materialise` reads the ten documents and cuts their snippets.",
        *_pictures(pictures, "stages"),
        Heading("Batches, cold start, memory"),
        *batch_blocks(card),
        Heading("Index"),
        *index_blocks(card["index"]),
        Heading("What reproduces it"),
        facts(card),
    ]


def render_verification(found: "CardVerification") -> str:
    """The verdict and what changed."""
    lines = [
        f"{change.kind}: {change.what}: {_shown(change.before)} in the card,"
        f" {_shown(change.after)} now"
        for change in found.changes[:_SHOWN_CHANGES]
    ]
    more = len(found.changes) - len(lines)
    lines += [f"... and {more} more"] if more else []
    verdict = (
        f"reproduced: {found.n_values} values of quality are exactly the same"
        if found.reproduced
        else "not reproduced: inputs or quality differ"
    )
    return "\n".join([*lines, verdict])


def _protocol_text(protocol: Mapping[str, Any] | None) -> str:
    """The rules of judging in words; nothing where there are none."""
    text = ""
    if protocol and protocol["judged_pool"]:
        text += (
            " Each query ranks only the documents judged for it, with the scores that they have"
            " among all; latency is that of searching all."
        )
    if protocol and protocol["ignored_pairs"]:
        hits = ", ".join(f"{n} of {name}" for name, n in protocol["hits_left_out"].items())
        text += (
            f" {protocol['ignored_pairs']} pairs of a query and a document are left out as asked:"
            f" {protocol['judgements_left_out']} judgements, and of hits {hits}."
        )
    return text


def _summary_table(card: Card) -> Table:
    rows = []
    for name, system in systems_and_peers(card).items():
        measure, total = system["quality"]["measures"][MAIN_MEASURE], system["latency"]["total"]
        rows.append(
            [
                name,
                _with_interval(measure),
                f"{system['quality']['measures']['R@100']['mean']:.4f}",
                *(f"{total[point]:.1f}" for point in ("p50", "p95", "p99")),
                number(system.get("batch", {}).get("queries_per_second"), ".1f"),
            ]
        )
    header = ["system", MAIN_MEASURE, "R@100", "p50 ms", "p95 ms", "p99 ms", "queries/s"]
    return Table(header, rows)


def _quality_table(card: Card) -> Table:
    rows = [
        [name, *(_with_interval(system["quality"]["measures"][m]) for m in MEASURES)]
        for name, system in systems_and_peers(card).items()
    ]
    return Table(["system", *MEASURES], rows)


def _with_interval(measure: Mapping[str, Any]) -> str:
    low, high = measure["interval"]
    return f"{measure['mean']:.4f} [{low:.4f}, {high:.4f}]"


def _tie_blocks(card: Card) -> Iterator[Block]:
    """Between which values the measures stay in any order of tied documents."""
    ties = {name: system["quality"]["ties"] for name, system in card["systems"].items()}
    if not any(of["hits"] for of in ties.values()):
        yield "No two hits of a list share a score: no tie moves a measure."
        return
    rows = [
        [name, str(of["hits"]), *(_between(of["intervals"][m]) for m in MEASURES)]
        for name, of in ties.items()
    ]
    yield Table(["system", "tied hits", *MEASURES], rows)
    yield (
        "Least and greatest value that any order of tied documents gives; they are taken in rising"
        " doc_id. One value: ties do not move it."
    )


def _between(interval: Sequence[float]) -> str:
    low, high = (f"{bound:.4f}" for bound in interval)
    return low if low == high else f"{low} to {high}"


def _test_blocks(card: Card) -> Iterator[Block]:
    if not card["tests"]:
        return
    yield test_table(card["tests"])
    yield (
        "p: two-sided paired randomisation test; Holm's correction over all rows. The last columns"
        " count queries."
    )


def _delta_blocks(card: Card) -> Iterator[Block]:
    for name, system in card["systems"].items():
        deltas = system["quality"]["deltas"]
        if deltas is None:
            continue
        for kind, title in (("best", "gain"), ("worst", "lose")):
            rows = [
                [row["query_id"], row["text"], f"{row['before']:.4f}", f"{row['after']:.4f}"]
                for row in deltas[kind]
            ]
            if rows:
                yield Heading(f"{name} against {deltas['against']}: queries that {title} most", 3)
                yield Table(["query", "text", deltas["against"], name], rows, n_left=2)


def _pictures(drawn: Sequence[str], *names: str) -> Iterator[Picture]:
    return (Picture(name) for name in names if name in drawn)


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
