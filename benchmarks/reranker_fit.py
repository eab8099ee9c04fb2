"""What a finished cross-encoder needs to be used well: weight, calibration, when `auto` may stop.

All are chosen on dev collections that the model was not trained on, and kept in its folder. An
index without vectors has a weight of its own: beside BM25 alone a cross-encoder has more to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from scisearch.benchmarks.bound_choice import BoundChoice, choose_bound
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.collection_places import IgnoreFiles, read_places
from scisearch.benchmarks.gate import CollectionIndexes
from scisearch.benchmarks.interpolation_choice import (
    InterpolationChoice,
    ScoredCandidates,
    choose_interpolation,
    score_candidates,
)
from scisearch.benchmarks.latency import spread_queries
from scisearch.index.errors import ConfigError, TrainingError
from scisearch.index.progress import NoProgress, Progress
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.model_settings import (
    ModelSettings,
    read_model_settings,
    write_model_settings,
)
from scisearch.rerank.search_config import SearchConfig
from scisearch.rerank.training.calibrate import CalibrationReport, calibrate_scores

_CALIBRATED = 20  # best fused candidates of a query that its probabilities are fitted on

Scored = Sequence[tuple[Collection, Sequence[ScoredCandidates]]]


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a cross-encoder is fitted."""

    choose_weight: bool = False  # also weight and normalisation; else those that it has
    vectors: bool = True  # of the indexes; without: chosen is the weight beside BM25 alone, no more
    calibrate: bool = False  # also the probabilities of its logits
    queries: int = 200  # of each collection, at most
    search: SearchConfig = field(default_factory=SearchConfig)  # mode and reranker are set here
    ignore: IgnoreFiles = field(default_factory=dict)  # what is left out of their judgements
    indexes: Path | None = None  # of the collections, kept there; None: built and thrown away
    progress: Progress = field(default_factory=NoProgress)


@dataclass(frozen=True, slots=True)
class RerankerFit:
    """What was chosen and is kept in the model's folder. `notes` say what could not be."""

    model: Path
    weight: InterpolationChoice | None  # None: it was not to be chosen
    bound: BoundChoice | None
    calibration: CalibrationReport | None = None  # None: it was not to be fitted, or could not be
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The fit as JSON values."""
        return {
            "model": str(self.model),
            "interpolation": None if self.weight is None else self.weight.to_json(),
            "bound": None if self.bound is None else self.bound.to_json(),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "notes": list(self.notes),
        }


def fit_reranker(model: Path, dev: Sequence[str], options: FitOptions | None = None) -> RerankerFit:
    """Score dev collections with a model, choose on them, and write its scisearch.json.

    Args:
        model: its folder.
        dev: folders of collections, or FOLDER:SPLIT for one of several judgements.
        options: how.

    Raises:
        ConfigError: no collection, no such folder, it cannot be written, or a calibration is asked
            for without vectors.
        ScisearchError: the model or a collection cannot be read, indexed or searched.
    """
    options = options or FitOptions()
    if not dev:
        raise ConfigError("found no dev collection, expected at least one (--dev FOLDER)")
    if options.calibrate and not options.vectors:
        raise ConfigError(
            "calibrate without vectors: found both, expected one: probabilities are fitted on the"
            " fused candidates (leave out --calibrate or --no-dense)"
        )
    if not model.is_dir():
        raise ConfigError(f"{model}: no such folder, expected that of a cross-encoder")
    settings = read_model_settings(model)
    [read] = read_places(dev, ignore=options.ignore)
    collections = [_some(one, options.queries) for one in read]
    config = replace(
        options.search, mode="rerank", reranker=str(model), score_cache=True, rerank="full"
    )
    config = replace(config, cutoff=config.rerank_depth)
    with TemporaryDirectory(prefix="scisearch-fit-") as temporary:
        folder = options.indexes or Path(temporary)
        indexes = CollectionIndexes(folder, options.progress, vectors=options.vectors)
        scored = [(one, score_candidates(one, config, indexes)) for one in collections]
    if not options.vectors:
        beside_bm25 = choose_interpolation(scored, settings.lexical)
        _keep(model, replace(settings, lexical=beside_bm25.chosen))
        return RerankerFit(model, beside_bm25, None)
    like = settings.interpolation
    weight = choose_interpolation(scored, like) if options.choose_weight else None
    interpolation = settings.interpolation if weight is None else weight.chosen
    bound, notes = bound_of(scored, interpolation)
    kept = None if bound is None else bound.bound
    _keep(model, replace(settings, interpolation=interpolation, bound=kept))
    calibration, more = _calibrated(model, scored) if options.calibrate else (None, ())
    return RerankerFit(model, weight, bound, calibration, (*notes, *more))


def _keep(model: Path, settings: ModelSettings) -> None:
    try:
        write_model_settings(model, settings)
    except OSError as error:
        raise ConfigError(
            f"{model}: cannot be written ({error.strerror}), expected a folder of your own; copy"
            " the model into one"
        ) from error


def bound_of(
    scored: Scored, interpolation: Interpolation
) -> tuple[BoundChoice | None, tuple[str, ...]]:
    """The bound, or why there is none."""
    try:
        return choose_bound(scored, interpolation), ()
    except ConfigError as error:
        return None, (f"no bound for --rerank auto: {error}",)


def _calibrated(model: Path, scored: Scored) -> tuple[CalibrationReport | None, tuple[str, ...]]:
    """The probabilities of the best candidates of every query, or why there are none."""
    heads = [
        (collection.qrels.get(one.query_id, {}), one)
        for collection, candidates in scored
        for one in candidates
    ]
    logits = [one.logits[:_CALIBRATED] for _, one in heads]
    labels = [
        [int(judged.get(doc_id, 0) > 0) for doc_id in one.doc_ids[:_CALIBRATED]]
        for judged, one in heads
    ]
    try:
        report = calibrate_scores(
            model, np.concatenate(logits), np.concatenate(labels), [len(one) for one in labels]
        )
    except TrainingError as error:
        return None, (f"not calibrated: {error}",)
    return report, ()


def _some(collection: Collection, count: int) -> Collection:
    """The collection with at most `count` of its queries, evenly spread."""
    queries = tuple(spread_queries(collection.queries, count))
    qrels = {query.query_id: collection.qrels[query.query_id] for query in queries}
    return replace(collection, queries=queries, qrels=qrels)
