"""The part of a benchmark report on what searching costs, and on what reproduces it."""

from collections.abc import Iterator, Mapping
from typing import Any

from scisearch.benchmarks.card import STAGES, Card
from scisearch.console.blocks import Block
from scisearch.console.tables import Table


def latency_table(card: Card) -> Table:
    """A row a stage, a column a system."""
    systems = card["systems"]
    found = {stage for one in systems.values() for stage in one["latency"]["stages"]}
    stages = [stage for stage in STAGES if stage in found]
    rows = [
        [stage, *(_points(one["latency"]["stages"].get(stage)) for one in systems.values())]
        for stage in stages
    ]
    rows.append(["total", *(_points(one["latency"]["total"]) for one in systems.values())])
    return Table(["stage", *systems], rows)


def batch_blocks(card: Card) -> Iterator[Block]:
    """Speed in batches, of a fresh command, and memory."""
    rows = []
    for name, system in card["systems"].items():
        batch, cold = system["batch"], system["cold_start"] or {}
        rows.append(
            [
                name,
                f"{batch['queries_per_second']:.1f}",
                number(batch["pairs_per_second"], ".1f"),
                number(system["pairs_per_second"], ".1f"),
                number(cold.get("seconds"), ".2f"),
                _megabytes(cold.get("peak_rss_bytes")),
            ]
        )
    header = ["system", "queries/s", "pairs/s", "pairs/s of one query", "cold start s"]
    yield Table([*header, "its peak memory MB"], rows)
    yield (
        "Cold start: a fresh `search query` in a process of its own, from start to end, and the"
        " most memory that was resident in it."
    )
    yield _memory(card["environment"]["memory_bytes"])


def _memory(found: Mapping[str, Any]) -> str:
    """One sentence or two on the memory of the process that held all systems."""
    if found["peak_rss"] is None:
        return "The system does not tell how much memory this process took."
    since = (
        "while searching, after the models were loaded"
        if found["since"] == "models loaded"
        else "since the process began (the system does not count from a later moment)"
    )
    text = (
        f"The process with all systems held at most {_megabytes(found['peak_rss'])} MB {since};"
        " pages of the memory-mapped index that were read are part of it."
    )
    if found["index_built"]:
        text += " It also built the index, which leaves memory behind: run again for less."
    if found["vram_reserved"] is not None:
        text += (
            f" On the GPU, tensors took at most {_megabytes(found['vram_allocated'])} MB of the"
            f" {_megabytes(found['vram_reserved'])} MB that torch reserved."
        )
    return text


def index_blocks(index: Mapping[str, Any]) -> Iterator[Block]:
    """Build time and size."""
    if index["build_seconds"] is not None:
        rows = [[name, f"{seconds:.2f}"] for name, seconds in index["build_seconds"].items()]
        yield Table(["stage", "seconds"], rows)
        yield f"{index['documents_per_second']:,.0f} documents/s."
    rows = [[name, f"{size:,.0f}"] for name, size in index["bytes_per_document"].items()]
    yield Table(["file", "bytes a document"], rows)


def facts(card: Card) -> Table:
    """What reproduces the card."""
    environment, digests = card["environment"], card["collection"]["digests"]
    hardware = environment["hardware"]
    values = {
        "command": " ".join(environment["command"]),
        "seed": environment["seed"],
        "processor": f"{hardware['processor']}, {hardware['cores']} cores",
        "accelerator": hardware["accelerator"],
        **{f"sha256 of {name}": digest for name, digest in digests.items()},
        **_weights(card),
        **environment["versions"],
    }
    rows = [[name, str(value)] for name, value in values.items() if value]
    return Table(["what", "value"], rows, n_left=2)


def _points(found: Mapping[str, float] | None) -> str:
    return "" if found is None else " / ".join(f"{found[p]:.2f}" for p in ("p50", "p95", "p99"))


def _weights(card: Card) -> dict[str, str]:
    return {
        _model_fact(model): value
        for system in card["systems"].values()
        for model, value in system["models"].items()
    }


def _model_fact(model: str) -> str:
    name = model.removesuffix("_runtime")
    if model != name:
        return f"runtime of the {name}"
    return f"sha256 of the {name.replace('_', ' ')}"


def number(value: float | None, form: str) -> str:
    """A figure in this form; nothing where there is none."""
    return "" if value is None else format(value, form)


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.0f}"
