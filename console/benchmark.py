"""A benchmark card as a report for a reader, and what its verification found."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scisearch.benchmarks.card import MAIN_MEASURE, MEASURES, STAGES, Card
from scisearch.console.tables import Table, p_text

if TYPE_CHECKING:
    from scisearch.benchmarks.card_verification import CardVerification

_SHOWN_CHANGES = 20
_SHOWN_DELTAS = 5


def render_summary(card: Card, out: Path) -> str:
    """Quality and time of each system, the two sentences of the loss report, and the files."""
    return "\n\n".join(
        [
            *filter(None, [_protocol_text(card["collection"].get("protocol")).strip()]),
            _summary_table(card).plain(),
            "\n".join(card["loss"]["advice"]),
            f"{out / 'report.md'}, {out / 'card.json'}, {out / 'runs'}",
        ]
    )


def render_report(card: Card, pictures: Sequence[str] = ()) -> str:
    """The whole card as markdown; `pictures` are file names beside the report."""
    collection = card["collection"]
    blocks = [
        f"# {collection['name']}: quality and latency",
        f"{collection['n_documents']:,} documents, {collection['n_queries']} queries with a"
        " positive judgement." + _protocol_text(collection.get("protocol")),
        _summary_table(card).markdown(),
        *_picture_blocks(pictures),
        "## Quality",
        _quality_table(card).markdown(),
        "Brackets: 95% bootstrap intervals over queries. Lists are cut at"
        f" {max(100, card['loss']['depth'])} hits.",
        *_test_blocks(card),
        *_delta_blocks(card),
        "## What is lost, and where",
        *_loss_blocks(card["loss"]),
        "## Latency, one query at a time",
        _latency_table(card).markdown(),
        "Milliseconds, p50 / p95 / p99; the systems take turns at each query, after a warm-up."
        " `materialise` reads the ten documents and cuts their snippets.",
        "## Batches, cold start, memory",
        _batch_table(card).markdown(),
        "## Index",
        *_index_blocks(card["index"]),
        "## What reproduces it",
        _facts(card),
    ]
    return "\n\n".join(blocks) + "\n"


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
    for name, system in card["systems"].items():
        measure, total = system["quality"]["measures"][MAIN_MEASURE], system["latency"]["total"]
        rows.append(
            [
                name,
                _with_interval(measure),
                f"{system['quality']['measures']['R@100']['mean']:.4f}",
                *(f"{total[point]:.1f}" for point in ("p50", "p95", "p99")),
                f"{system['batch']['queries_per_second']:.1f}",
            ]
        )
    header = ["system", MAIN_MEASURE, "R@100", "p50 ms", "p95 ms", "p99 ms", "queries/s"]
    return Table(header, rows)


def _quality_table(card: Card) -> Table:
    rows = [
        [name, *(_with_interval(system["quality"]["measures"][m]) for m in MEASURES)]
        for name, system in card["systems"].items()
    ]
    return Table(["system", *MEASURES], rows)


def _with_interval(measure: Mapping[str, Any]) -> str:
    low, high = measure["interval"]
    return f"{measure['mean']:.4f} [{low:.4f}, {high:.4f}]"


def _test_blocks(card: Card) -> Iterator[str]:
    if not card["tests"]:
        return
    rows = [
        [
            f"{test['second']} - {test['first']}",
            f"{test['mean']:+.4f}",
            f"{test['interval'][0]:+.4f} to {test['interval'][1]:+.4f}",
            p_text(test["p"]),
            p_text(test["p_holm"]),
            *(str(test[name]) for name in ("better", "same", "worse")),
        ]
        for test in card["tests"]
    ]
    header = [MAIN_MEASURE, "difference", "95% interval", "p", "p (Holm)"]
    yield Table([*header, "better", "same", "worse"], rows).markdown()
    yield (
        "p: two-sided paired randomisation test; Holm's correction over all rows. The last columns"
        " count queries."
    )


def _delta_blocks(card: Card) -> Iterator[str]:
    for name, system in card["systems"].items():
        deltas = system["quality"]["deltas"]
        if deltas is None:
            continue
        rows = [
            [row["query_id"], row["text"], f"{row['before']:.4f}", f"{row['after']:.4f}"]
            for row in (*deltas["best"][:_SHOWN_DELTAS], *reversed(deltas["worst"][:_SHOWN_DELTAS]))
        ]
        if rows:
            yield f"### {name} against {deltas['against']}: queries that gain and lose most"
            yield Table(["query", "text", deltas["against"], name], rows, n_left=2).markdown()


def _loss_blocks(loss: Mapping[str, Any]) -> Iterator[str]:
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
        [f"below rank {loss['depth']} of the first stages", relevant["cut_by_depth"]],
        [f"not among their best {loss['deep']}", relevant["never"]],
        ["all", relevant["total"]],
    ]
    cells = [[where, str(n), f"{n / relevant['total']:.1%}"] for where, n in rows]
    yield Table(["relevant documents", "number", "share"], cells).markdown()
    if loss["steps"]:
        steps = [[one["stage"], one["over"], f"{one['gain']:+.4f}"] for one in loss["steps"]]
        yield Table(["stage", "over", MAIN_MEASURE], steps, n_left=2).markdown()
    yield "**" + " ".join(loss["advice"]) + "**"


def _latency_table(card: Card) -> Table:
    systems = card["systems"]
    found = {stage for one in systems.values() for stage in one["latency"]["stages"]}
    stages = [stage for stage in STAGES if stage in found]
    rows = [
        [stage, *(_points(one["latency"]["stages"].get(stage)) for one in systems.values())]
        for stage in stages
    ]
    rows.append(["total", *(_points(one["latency"]["total"]) for one in systems.values())])
    return Table(["stage", *systems], rows)


def _points(found: Mapping[str, float] | None) -> str:
    return "" if found is None else " / ".join(f"{found[p]:.2f}" for p in ("p50", "p95", "p99"))


def _batch_table(card: Card) -> Table:
    rows = []
    for name, system in card["systems"].items():
        batch, cold = system["batch"], system["cold_start"] or {}
        rows.append(
            [
                name,
                f"{batch['queries_per_second']:.1f}",
                _number(batch["pairs_per_second"], ".0f"),
                _number(cold.get("seconds"), ".2f"),
                _megabytes(cold.get("peak_rss_bytes")),
            ]
        )
    header = ["system", "queries/s", "pairs/s", "cold start s", "its peak memory MB"]
    return Table(header, rows)


def _index_blocks(index: Mapping[str, Any]) -> Iterator[str]:
    if index["build_seconds"] is not None:
        rows = [[name, f"{seconds:.2f}"] for name, seconds in index["build_seconds"].items()]
        yield Table(["stage", "seconds"], rows).markdown()
        yield f"{index['documents_per_second']:,.0f} documents/s."
    rows = [[name, f"{size:,.0f}"] for name, size in index["bytes_per_document"].items()]
    yield Table(["file", "bytes a document"], rows).markdown()


def _picture_blocks(pictures: Sequence[str]) -> Iterator[str]:
    for name in pictures:
        yield f"![{Path(name).stem.replace('-', ' ')}]({name})"


def _facts(card: Card) -> str:
    environment, digests = card["environment"], card["collection"]["digests"]
    hardware = environment["hardware"]
    facts = {
        "command": " ".join(environment["command"]),
        "seed": environment["seed"],
        "processor": f"{hardware['processor']}, {hardware['cores']} cores",
        "accelerator": hardware["accelerator"],
        "peak memory MB": _megabytes(environment["peak_rss_bytes"]),
        **{f"sha256 of {name}": digest for name, digest in digests.items()},
        **_weights(card),
        **environment["versions"],
    }
    rows = [[name, str(value)] for name, value in facts.items() if value]
    return Table(["", ""], rows, n_left=2).markdown()


def _weights(card: Card) -> dict[str, str]:
    return {
        f"sha256 of the {model}": sha256
        for system in card["systems"].values()
        for model, sha256 in system["models"].items()
    }


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.0f}"


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
