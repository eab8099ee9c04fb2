"""What a benchmark is asked for, by options or by the card of an earlier one."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from scisearch.benchmarks.card import Card
from scisearch.benchmarks.collection import Collection, read_collection
from scisearch.benchmarks.demo import write_demo
from scisearch.benchmarks.ir_datasets_folder import (
    EXTRA,
    dataset_folder,
    ir_datasets_installed,
    may_be_dataset_id,
)
from scisearch.index.errors import ConfigError
from scisearch.rerank.search_config import Mode, SearchConfig
from scisearch.retrieval.fusion import Fusion

DEMO = "demo"
PEER_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class BenchmarkRequest:
    """What is measured, and where the card goes."""

    out: Path
    collection: str = DEMO  # a folder, `demo`, or an ir_datasets id
    split: str | None = None
    systems: tuple[Mode, ...] | None = None  # None: all that index and models allow
    index: Path | None = None  # None: OUT/index, built where there is none
    search: SearchConfig = field(default_factory=SearchConfig)  # its mode is not used
    latency_queries: int = 200
    cold_starts: bool = True
    peers: tuple[str, ...] = ()  # names of the catalogue
    peer_timeout: float = PEER_TIMEOUT  # seconds for a peer's index, and for each query
    command: tuple[str, ...] = ()  # as it was typed

    def __post_init__(self) -> None:
        """Refuse what would make figures that nobody can repeat.

        Raises:
            ConfigError: the search has a budget of time, or takes scores from a cache.
        """
        if self.search.budget_ms is not None or self.search.score_cache:
            found = "a budget of time" if self.search.budget_ms is not None else "a score cache"
            raise ConfigError(
                f"benchmark: found {found}, expected none: with a budget its quality, with a cache"
                " its speed would be another one next time"
            )

    def to_json(self) -> dict[str, Any]:
        """What decides the quality, as JSON values; `request_of` reads it."""
        return {
            "collection": self.collection,
            "split": self.split,
            "systems": self.systems and list(self.systems),
            "search": asdict(self.search),
            "latency_queries": self.latency_queries,
            "peers": list(self.peers),
        }


def request_of(card: Card, out: Path) -> BenchmarkRequest:
    """The request that a card was made by, for another folder.

    Raises:
        ConfigError: the card has settings that this version does not know.
    """
    try:
        asked = card["request"]
        fusion = Fusion(**asked["search"]["fusion"])
        return BenchmarkRequest(
            out=out,
            collection=asked["collection"],
            split=asked["split"],
            systems=tuple(card["systems"]),
            search=SearchConfig(**{**asked["search"], "fusion": fusion}),
            latency_queries=asked["latency_queries"],
            cold_starts=False,  # what they cost is not compared
            peers=tuple(asked.get("peers", ())),
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"card: its request does not fit ({error}), expected one of this version of scisearch;"
            " make the card again with search benchmark"
        ) from error


def benchmark_collection(request: BenchmarkRequest) -> Collection:
    """The one in a folder, the demo (written into OUT/demo) or an ir_datasets id (OUT/ir-datasets).

    Raises:
        ConfigError: there is no such folder or id, or a part of the collection is missing.
        RankingError: a file is malformed.
    """
    if request.collection == DEMO:
        write_demo(request.out / DEMO)
        return read_collection(request.out / DEMO, split=request.split)
    folder = Path(request.collection)
    if folder.is_dir():
        return read_collection(folder, split=request.split)
    if may_be_dataset_id(request.collection) and ir_datasets_installed():
        return _dataset(request)
    raise ConfigError(
        f"{folder}: no such folder, expected one with corpus.parquet, queries.jsonl and qrels.tsv,"
        f" the word {DEMO}, or an ir_datasets id such as beir/scifact/test ({EXTRA})"
    )


def _dataset(request: BenchmarkRequest) -> Collection:
    name = request.collection
    if request.split is not None:
        raise ConfigError(
            f"{name}: found --split {request.split}, expected the split in the id, such as"
            f" {name}/{request.split}"
        )
    collection = read_collection(dataset_folder(name, request.out / "ir-datasets"))
    return replace(collection, name=name)
