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
from scisearch.benchmarks.system_names import CANDIDATE_LISTS, System
from scisearch.index.errors import ConfigError
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.fusion import Fusion

DEMO = "demo"
PEER_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class BenchmarkRequest:
    """What is measured, and where the card goes."""

    out: Path
    collection: str = DEMO  # a folder, `demo`, or an ir_datasets id
    split: str | None = None
    ignore: Path | None = None  # pairs left out of judgements and runs
    judged_pool: bool = False  # each query ranks only what is judged for it
    systems: tuple[System, ...] | None = None  # None: all that index and models allow
    index: Path | None = None  # None: OUT/index, built where there is none
    dense: bool = True  # whether an index that is built has vectors, where a system may use them
    search: SearchConfig = field(default_factory=SearchConfig)  # its mode is not used
    latency_queries: int = 200
    cold_starts: bool = True
    peers: tuple[str, ...] = ()  # names of the catalogue
    peer_timeout: float = PEER_TIMEOUT  # seconds for a peer's index, and for each query
    command: tuple[str, ...] = ()  # as it was typed

    def __post_init__(self) -> None:
        """Refuse what would make figures that nobody can repeat.

        Raises:
            ConfigError: the search has a budget of time, takes scores from a cache, peers would
                have to rank pools, or no system is a first stage.
        """
        if self.systems is not None and not set(self.systems) & set(CANDIDATE_LISTS):
            raise ConfigError(
                f"benchmark: found the systems {','.join(self.systems)}, expected bm25, dense or"
                " hybrid among them: what reranking loses and gains is told against its candidates"
            )
        if self.judged_pool and self.peers:
            raise ConfigError(
                "benchmark: found --judged-pool and --peers, expected one of them: a peer ranks all"
                " documents, so that its figures would be of another task"
            )
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
            "ignore": self.ignore and str(self.ignore),
            "judged_pool": self.judged_pool,
            "systems": self.systems and list(self.systems),
            "dense": self.dense,
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
        # cards from before there were neighbours, or spans, do not name them
        fusion = Fusion(**{"neighbour_weight": 0.0, "dense_span": 0.0, **asked["search"]["fusion"]})
        return BenchmarkRequest(
            out=out,
            collection=asked["collection"],
            split=asked["split"],
            ignore=Path(asked["ignore"]) if asked.get("ignore") else None,
            judged_pool=asked.get("judged_pool", False),
            systems=tuple(card["systems"]),
            dense=asked.get("dense", True),
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
    """The collection that a request names.

    Raises:
        ConfigError: as `named_collection`.
        RankingError: a file is malformed.
    """
    return named_collection(
        request.collection,
        request.out,
        split=request.split,
        ignore=request.ignore,
        judged_pool=request.judged_pool,
    )


def named_collection(
    name: str,
    work: Path,
    *,
    split: str | None = None,
    ignore: Path | None = None,
    judged_pool: bool = False,
) -> Collection:
    """The one in a folder, the demo (kept in WORK/demo) or an ir_datasets id (WORK/ir-datasets).

    `split`, `ignore` and `judged_pool` are as for `read_collection`; an id has its split in it.

    Raises:
        ConfigError: there is no such folder or id, or a part of the collection is missing.
        RankingError: a file is malformed.
    """
    if name == DEMO:
        write_demo(work / DEMO)
        return read_collection(work / DEMO, split=split, ignore=ignore, judged_pool=judged_pool)
    folder = Path(name)
    if folder.is_dir():
        return read_collection(folder, split=split, ignore=ignore, judged_pool=judged_pool)
    if not (may_be_dataset_id(name) and ir_datasets_installed()):
        raise ConfigError(
            f"{folder}: no such folder, expected one with corpus.parquet, queries.jsonl and"
            f" qrels.tsv, the word {DEMO}, or an ir_datasets id such as beir/scifact/test ({EXTRA})"
        )
    if split is not None:
        raise ConfigError(
            f"{name}: found --split {split}, expected the split in the id, such as {name}/{split}"
        )
    dataset = dataset_folder(name, work / "ir-datasets")
    return replace(read_collection(dataset, ignore=ignore, judged_pool=judged_pool), name=name)
