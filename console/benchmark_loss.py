"""The part of a benchmark report that says what is lost: by stages, depth, and limited input."""

from collections.abc import Iterator, Mapping
from typing import Any

from scisearch.benchmarks.card import MAIN_MEASURE, Card
from scisearch.console.blocks import Block, Heading
from scisearch.console.tables import Table


def loss_blocks(loss: Mapping[str, Any]) -> Iterator[Block]:
    """The loss report."""
    relevant = loss["relevant"]
    yield (
        f"The {loss['depth']} candidates (of {loss['candidates_of']}) hold"
        f" {loss['recall_ceiling']:.4f} of a query's relevant documents; in the best order they"
        f" would reach {MAIN_MEASURE} {loss['oracle']:.4f}. {loss['last']} reaches"
        f" {loss['reached']:.4f}."
    )
    rows = [
        ["among the candidates", relevant["candidates"]],
        ["a first stage had it, fusion cut it", relevant["cut_by_fusion"]],
        [
            f"cut by the depth: below rank {loss['depth']} of the first stages",
            relevant["cut_by_depth"],
        ],
        [f"not among their best {loss['deep']}", relevant["never"]],
        ["all", relevant["total"]],
    ]
    cells = [[where, str(n), f"{n / relevant['total']:.1%}"] for where, n in rows]
    yield Table(["relevant documents", "number", "share"], cells)
    if loss["steps"]:
        steps = [[one["stage"], one["over"], f"{one['gain']:+.4f}"] for one in loss["steps"]]
        yield Table(["stage", "over", MAIN_MEASURE], steps, n_left=2)
    if loss["truncation"]:
        yield from _truncation_blocks(loss["truncation"])


def reliability_blocks(card: Card) -> Iterator[Block]:
    """Whether probabilities of relevance are right, where a system gives any."""
    for name, system in card["systems"].items():
        found = system["reliability"]
        if not found:
            continue
        yield Heading("Are the probabilities right?", 3)
        yield (
            f"Over {found['pairs']:,} pairs that {name} scored, {found['relevant']:.1%} of them"
            f" relevant: expected calibration error {found['ece']:.4f} in bins of equal mass,"
            f" {found['equal_width']['ece']:.4f} in bins of equal width; Brier score"
            f" {found['brier']:.4f}. {found['judged']:.1%} of the pairs are judged, the others"
            " count as not relevant."
        )


def _truncation_blocks(found: Mapping[str, Any]) -> Iterator[Block]:
    """What the cross-encoder never saw of its candidates."""
    rows = [
        ["candidate documents, cut for a query at least", "documents_cut", "documents"],
        ["pairs of query and candidate, cut", "pairs_cut", "pairs"],
        ["tokens of all pairs, never seen", "tokens_unseen", "tokens"],
        ["relevant candidates, cut", "relevant_pairs_cut", "relevant_pairs"],
        ["tokens of relevant candidates, never seen", "relevant_tokens_unseen", "relevant_tokens"],
    ]
    cells = [
        [what, f"{found[part]:,}", f"{found[whole]:,}", _share(found[part], found[whole])]
        for what, part, whole in rows
    ]
    yield Table(["hidden from the cross-encoder", "number", "of", "share"], cells)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""
