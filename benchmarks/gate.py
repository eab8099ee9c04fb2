"""Does a new model lose where it was not trained: the same collections before and after it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.comparison import Difference, compare_evaluations
from scisearch.benchmarks.scoring import evaluate
from scisearch.benchmarks.significance import holm
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.corpus import open_corpus
from scisearch.index.errors import ConfigError, IndexFormatError
from scisearch.index.opened import open_index
from scisearch.index.progress import NoProgress, Progress, stage_of
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.ranking import RankedList, Run

MEASURE = "nDCG@10"
_BATCH = 32  # topics searched together

System = Callable[[Collection], Run]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One collection: the measure's mean before and after, and the difference paired by query."""

    collection: str
    n_queries: int
    before: float
    after: float
    difference: Difference  # `p_holm` is corrected for the collections of the gate

    @property
    def lost(self) -> bool:
        """Whether the whole 95% interval of the difference lies below 0."""
        return self.difference.high < 0

    def to_json(self) -> dict[str, object]:
        """The result as JSON values."""
        return {
            "collection": self.collection,
            "n_queries": self.n_queries,
            "before": self.before,
            "after": self.after,
            "difference": self.difference.to_json(),
            "lost": self.lost,
        }


@dataclass(frozen=True, slots=True)
class GateReport:
    """All collections, and whether the new model may pass: it lost on none of them."""

    measure: str
    results: tuple[GateResult, ...]

    @property
    def lost(self) -> tuple[str, ...]:
        """The collections on which the new model is worse beyond the interval."""
        return tuple(result.collection for result in self.results if result.lost)

    @property
    def passed(self) -> bool:
        """Whether it lost nowhere."""
        return not self.lost

    @property
    def mean_difference(self) -> float:
        """Mean of the collections' differences, each collection weighing the same."""
        return sum(result.difference.mean for result in self.results) / len(self.results)

    def to_json(self) -> dict[str, object]:
        """The report as JSON values."""
        return {
            "measure": self.measure,
            "passed": self.passed,
            "lost": list(self.lost),
            "mean_difference": self.mean_difference,
            "collections": [result.to_json() for result in self.results],
        }


def gate(
    before: System | SearchConfig,
    after: System | SearchConfig,
    collections: Sequence[Collection],
    *,
    indexes: Path | None = None,
    progress: Progress | None = None,
) -> GateReport:
    """nDCG@10 of two systems on each collection, with intervals, tests and a verdict.

    Args:
        before: makes the run of a collection, or a configuration to search an index of it with.
        after: the same for the new model.
        collections: what neither was trained on; names must differ.
        indexes: where indexes for a configuration are built, or found from an earlier time; None:
            in a folder that is removed afterwards.
        progress: told how far the work is.

    Raises:
        ConfigError: no collection, or two of one name.
        RankingError: a run does not meet its judgements.
        ScisearchError: an index cannot be built or searched.
    """
    names = [collection.name for collection in collections]
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            f"gate: found collections {', '.join(names) or 'none'}; expected one or more of"
            " different names"
        )
    with TemporaryDirectory(prefix="scisearch-gate-") as temporary:
        places = CollectionIndexes(indexes or Path(temporary), progress or NoProgress())
        systems = [
            system if callable(system) else places.system(system) for system in (before, after)
        ]
        results = [_compared(systems, collection) for collection in collections]
    return GateReport(MEASURE, _corrected(results))


def _compared(systems: Sequence[System], collection: Collection) -> GateResult:
    evaluations = {
        name: evaluate(
            system(collection), collection.qrels, (MEASURE,), name=f"{name} on {collection.name}"
        )
        for name, system in zip(("before", "after"), systems, strict=True)
    }
    comparison = compare_evaluations(evaluations, baseline="before")
    after = comparison.scores["after"][MEASURE]
    if after.difference is None:
        raise ConfigError(f"gate: found no difference on {collection.name}, expected two systems")
    before = comparison.scores["before"][MEASURE]
    return GateResult(
        collection.name, comparison.n_queries, before.mean, after.mean, after.difference
    )


def _corrected(results: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """The results with p values corrected for all of them."""
    p_values = holm({result.collection: result.difference.p for result in results})
    return tuple(
        replace(result, difference=replace(result.difference, p_holm=p_values[result.collection]))
        for result in results
    )


class CollectionIndexes:
    """An index for each collection, built once, and used by every configuration."""

    def __init__(self, folder: Path, progress: Progress, *, vectors: bool = True) -> None:
        """Build below `folder`, or find there what was built before.

        Without `vectors` none has any, also for a mode that would use them.
        """
        self._folder, self._vectors = folder, vectors
        self.progress = progress

    def system(self, config: SearchConfig) -> System:
        """What makes the run of a collection with this configuration."""

        def searched(collection: Collection) -> Run:
            protocol, pools = collection.protocol, collection.pools
            deeper = replace(config, cutoff=protocol.asked_for(config.cutoff))
            pipeline = SearchPipeline.open(self.index(collection, config), deeper)
            queries = collection.queries
            found: dict[str, RankedList] = {}
            with stage_of(self.progress, collection.name, len(queries), unit="topics"):
                for start in range(0, len(queries), _BATCH):
                    ranked = pipeline.run(queries[start : start + _BATCH], pools=pools)
                    found |= {one.query_id: one for one in ranked}
                    self.progress.advance(len(ranked))
            return protocol.applied(found, config.cutoff)[0]

        return searched

    def index(self, collection: Collection, config: SearchConfig) -> Path:
        """The collection's index folder, with vectors unless the mode is bm25 or none has any.

        Raises:
            ScisearchError: it cannot be built.
        """
        dense = self._vectors and config.mode != "bm25"
        name = collection.corpus.resolve().parent.name
        # an index with vectors serves the mode bm25, but none of those that shall have none
        path = self._folder / (name if self._vectors else f"{name}-bm25")
        if not self._is_of(path, collection.corpus, dense=dense):
            # Collections hold empty documents (two of Cranfield's): nothing can find those.
            build = BuildConfig(
                device=config.device,
                offline=config.offline,
                runtime=config.runtime,
                skip_bad_rows=True,
            )
            if not dense:
                build = replace(build, encoder=None)
            elif config.encoder is not None:
                build = replace(build, encoder=config.encoder)
            build_index(collection.corpus, path, build, progress=self.progress)
        return path

    def _is_of(self, path: Path, corpus: Path, *, dense: bool) -> bool:
        """Whether an index of this corpus is there, with vectors if they are wanted."""
        try:
            manifest = open_index(path).manifest
        except IndexFormatError:
            return False
        if dense and manifest.encoder is None:
            return False
        return manifest.corpus.get("sha256") == open_corpus(corpus).digest()
