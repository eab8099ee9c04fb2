"""The rerank stage: the best fused candidates through the cross-encoder, and the final order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError
from scisearch.index.models import BUILT_IN, DEFAULT_CROSS_ENCODER, resolve_model
from scisearch.index.opened import OpenIndex
from scisearch.index.runtimes import Runtime
from scisearch.index.stopwatch import Stopwatch
from scisearch.rerank.calibration import Calibration
from scisearch.rerank.interpolation import Interpolation, Normalisation
from scisearch.rerank.model_settings import SETTINGS_FILE, read_model_settings
from scisearch.rerank.passages import LongDocuments
from scisearch.rerank.scoring import RerankScores
from scisearch.retrieval.ranking import IdRank, Ordinals, Scored, rank


class CrossEncoder(Protocol):
    """What scores the candidates of queries."""

    max_length: int  # ids of a pair, special tokens included
    runtime_name: str  # what computes it, e.g. "onnx int8"

    def score(
        self,
        queries: Sequence[str],
        candidates: Sequence[Ordinals],
        *,
        watch: Stopwatch | None = None,
    ) -> RerankScores:
        """One array of raw float32 logits per query, aligned with its candidates."""
        ...


@dataclass(frozen=True, slots=True)
class Reranked:
    """One query's lists "cross-encoder" and "final", in that order, and what a reader should know.

    The final list has the candidates that were not scored below all that were, in fused order.
    `probabilities` is ordinal -> probability of relevance of those that were scored; empty where
    the model has no calibration.
    """

    stages: Mapping[str, Scored]
    notes: tuple[str, ...]
    probabilities: Mapping[int, float]


class RerankStage:
    """A cross-encoder, and how its opinion is weighed against the first stages'."""

    def __init__(
        self,
        cross_encoder: CrossEncoder,
        interpolation: Interpolation,
        id_rank: IdRank,
        sha256: str,
        *,
        calibration: Calibration | None = None,
    ) -> None:
        """Take an open cross-encoder; `open_rerank_stage` finds one by name."""
        self._cross_encoder = cross_encoder
        self.interpolation = interpolation
        self._id_rank = id_rank
        self.sha256 = sha256  # of the cross-encoder's weights
        self.runtime_name = cross_encoder.runtime_name
        self.calibration = calibration  # None: its logits have no probabilities

    def rerank(
        self,
        queries: Sequence[str],
        fused: Sequence[Scored],
        *,
        depth: int,
        min_probability: float | None = None,
        watch: Stopwatch | None = None,
    ) -> list[Reranked]:
        """Score the best `depth` candidates of each query and put them into their final order.

        With `min_probability` the final list has only documents that are at least so likely to be
        relevant; one that was not scored is not.

        Raises:
            ConfigError: `min_probability` and no calibration.
        """
        if min_probability is not None and self.calibration is None:
            raise ConfigError(
                f"minimum probability {min_probability:g}: the cross-encoder has no calibration,"
                " expected one in its scisearch.json, as `search train` writes it; leave out"
                " --min-probability or name another --reranker"
            )
        heads = [one.cut(depth) for one in fused]
        scores = self._cross_encoder.score(queries, [head.ordinals for head in heads], watch=watch)
        return [
            self._likely(self._reranked(whole, head, logits, dropped), min_probability)
            for whole, head, logits, dropped in zip(
                fused, heads, scores.logits, scores.dropped, strict=True
            )
        ]

    def logits(
        self, queries: Sequence[str], candidates: Sequence[Ordinals]
    ) -> list[NDArray[np.float32]]:
        """The raw logits of each query's candidates, (n_candidates,) in their order."""
        return self._cross_encoder.score(queries, candidates).logits

    def _reranked(
        self, whole: Scored, head: Scored, logits: np.ndarray, dropped: np.ndarray
    ) -> Reranked:
        final = self.interpolation.interpolate(head, logits, self._id_rank)
        stages = {
            "cross-encoder": rank(head.ordinals, logits, self._id_rank),
            "final": _with_rest(final, whole, len(head)),
        }
        return Reranked(stages, self._notes(head, dropped), self._probabilities(head, logits))

    def _notes(self, head: Scored, dropped: np.ndarray) -> tuple[str, ...]:
        cut = int(np.count_nonzero(dropped))
        if not cut:
            return ()
        return (
            f"the cross-encoder saw {cut} of {len(head)} documents only in part"
            f" (limit {self._cross_encoder.max_length} tokens; {int(dropped.sum())} tokens unseen)",
        )

    def _probabilities(self, head: Scored, logits: np.ndarray) -> dict[int, float]:
        if self.calibration is None:
            return {}
        probabilities = self.calibration.probabilities(logits)
        return dict(zip(head.ordinals.tolist(), probabilities.tolist(), strict=True))

    def _likely(self, outcome: Reranked, least: float | None) -> Reranked:
        """The outcome with only likely documents in its final list, and a note of how many went."""
        if least is None:
            return outcome
        final = outcome.stages["final"]
        chances = [outcome.probabilities.get(ordinal, -1.0) for ordinal in final.ordinals.tolist()]
        kept = np.array(chances, dtype=np.float32) >= np.float32(least)
        gone = len(final) - int(kept.sum())
        if not gone:
            return outcome
        note = f"{gone} candidates are less likely to be relevant than {least:g} and left out"
        stages = {**outcome.stages, "final": Scored(final.ordinals[kept], final.scores[kept])}
        return Reranked(stages, (*outcome.notes, note), outcome.probabilities)


def has_reranker(name: str | None) -> bool:
    """Whether there is a cross-encoder to use: a named one, or one that comes with this version."""
    return name is not None or any(
        one.name == DEFAULT_CROSS_ENCODER and one.sha256 is not None for one in BUILT_IN
    )


def prepare_built_in(device: str | None = None) -> None:
    """Make the built-in cross-encoder, if there is one, ready for queries without PyTorch."""
    from scisearch.rerank.cross_encoder import runtime_of

    if has_reranker(None):
        model = resolve_model(DEFAULT_CROSS_ENCODER, offline=True, kind="cross-encoder")
        runtime_of(model, device=device)


def open_rerank_stage(
    index: OpenIndex,
    name: str | None,
    *,
    weight: float | None = None,
    normalisation: Normalisation | None = None,
    long_documents: LongDocuments = "cut",
    device: str | None = None,
    offline: bool = False,
    runtime: Runtime = "auto",
) -> RerankStage:
    """Find and load the cross-encoder for the documents of an index.

    `weight` and `normalisation` None are those that are kept with the model.

    Raises:
        ModelError: it cannot be found or loaded, or is none.
        ConfigError: the weight is outside [0, 1], or the normalisation is unknown.
    """
    from scisearch.rerank.cross_encoder import LocalCrossEncoder

    Interpolation().changed(weight, normalisation)  # a wrong one is told before any work
    model = resolve_model(name or DEFAULT_CROSS_ENCODER, offline=offline, kind="cross-encoder")
    settings = read_model_settings(model.folder)
    interpolation = settings.interpolation.changed(weight, normalisation)
    calibration = settings.calibration
    cross_encoder = LocalCrossEncoder(
        model,
        texts=index.documents.full_texts,
        store=index.tokens,
        long_documents=long_documents,
        device=device,
        runtime=runtime,
    )
    return RerankStage(
        cross_encoder,
        interpolation,
        index.documents.id_rank,
        model.sha256,
        calibration=None
        if calibration is None
        else Calibration.from_json(
            calibration, where=f"{model.folder / SETTINGS_FILE}: calibration"
        ),
    )


def _with_rest(final: Scored, whole: Scored, scored: int) -> Scored:
    """The final list and below it the candidates that were not scored, in their order."""
    rest = Scored(whole.ordinals[scored:], whole.scores[scored:])
    if not len(rest):
        return final
    below = final.scores[-1] - (rest.scores[0] - rest.scores)
    return Scored(
        np.concatenate([final.ordinals, rest.ordinals]),
        np.concatenate([final.scores, below.astype(np.float32)]),
    )
