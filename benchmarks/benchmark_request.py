"""What a benchmark is asked for, by options or by the card of an earlier one."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scisearch.benchmarks.card import Card
from scisearch.benchmarks.collection import Collection, read_collection
from scisearch.benchmarks.demo import write_demo
from scisearch.index.errors import ConfigError
from scisearch.rerank.search_config import Mode, SearchConfig
from scisearch.retrieval.fusion import Fusion

DEMO = "demo"


@dataclass(frozen=True, slots=True)
class BenchmarkRequest:
    """What is measured, and where the card goes."""

    out: Path
    collection: str = DEMO  # a folder, or `demo`
    split: str | None = None
    ignore: Path | None = None  # pairs left out of judgements and runs
    judged_pool: bool = False  # each query ranks only what is judged for it
    systems: tuple[Mode, ...] | None = None  # None: all that index and models allow
    index: Path | None = None  # None: OUT/index, built where there is none
    search: SearchConfig = field(default_factory=SearchConfig)  # its mode is not used
    latency_queries: int = 200
    cold_starts: bool = True
    command: tuple[str, ...] = ()  # as it was typed

    def to_json(self) -> dict[str, Any]:
        """What decides the quality, as JSON values; `request_of` reads it."""
        return {
            "collection": self.collection,
            "split": self.split,
            "ignore": self.ignore and str(self.ignore),
            "judged_pool": self.judged_pool,
            "systems": self.systems and list(self.systems),
            "search": asdict(self.search),
            "latency_queries": self.latency_queries,
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
            ignore=Path(asked["ignore"]) if asked.get("ignore") else None,
            judged_pool=asked.get("judged_pool", False),
            systems=tuple(card["systems"]),
            search=SearchConfig(**{**asked["search"], "fusion": fusion}),
            latency_queries=asked["latency_queries"],
            cold_starts=False,  # what they cost is not compared
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
        demo=request.out / DEMO,
        split=request.split,
        ignore=request.ignore,
        judged_pool=request.judged_pool,
    )


def named_collection(name: str, *, demo: Path, **how: Any) -> Collection:
    """The demo collection, written into the folder `demo`, or the one in the folder `name`.

    `how` is as for `read_collection`.

    Raises:
        ConfigError: there is no such folder, or a part of the collection is missing.
        RankingError: a file is malformed.
    """
    if name == DEMO:
        write_demo(demo)
        return read_collection(demo, **how)
    folder = Path(name)
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such folder, expected one with corpus.parquet, queries.jsonl and"
            f" qrels.tsv, or the word {DEMO}"
        )
    return read_collection(folder, **how)
