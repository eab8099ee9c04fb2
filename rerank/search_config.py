"""What happens to a query: the stages that are used, and their numbers."""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from scisearch.index.errors import ConfigError
from scisearch.index.runtimes import Runtime, check_runtime
from scisearch.rerank.interpolation import Interpolation, Normalisation
from scisearch.rerank.passages import LongDocuments
from scisearch.retrieval.fusion import Fusion

Mode = Literal["bm25", "dense", "hybrid", "rerank"]
MODES: tuple[Mode, ...] = get_args(Mode)
Reranking = Literal["full", "auto", "cascade"]
RERANKINGS: tuple[Reranking, ...] = get_args(Reranking)
BM25Engine = Literal["bm25s", "rank-bm25"]
BM25_ENGINES: tuple[BM25Engine, ...] = get_args(BM25Engine)


@dataclass(frozen=True, slots=True)
class Limits:
    """When scoring ends before all candidates are scored. The default is: not at all."""

    auto: bool = False  # once the top is not expected to change
    budget_ms: float | None = None  # milliseconds for each query, those of a batch all together


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """What happens to a query. `mode` None is chosen by `chosen_mode`."""

    mode: Mode | None = None
    depth: int = 100  # documents from each first stage
    rerank_depth: int = 100  # fused documents that the cross-encoder scores
    rerank: Reranking = "full"  # all of these, until the top is settled, or a small model's choice
    auto_top: int = 10  # the best so many that `auto` looks at
    budget_ms: float | None = None  # for the reranking of a query; None: as long as it takes
    score_cache: bool = False  # take logits that were computed before from the user's cache folder
    cutoff: int = 10  # hits that come out
    fusion: Fusion = field(default_factory=Fusion)
    phrase_weight: float = 0.0  # beside the fused scores, mode rerank only; 0: not counted
    reranker: str | None = None  # hub id, folder or built-in name; None: the built-in, if any
    rerank_weight: float | None = None  # of the cross-encoder; None: the one kept with the model
    rerank_normalisation: Normalisation | None = None  # of both sides; None: the model's
    min_probability: float | None = None  # of relevance; less likely hits are left out
    long_documents: LongDocuments = "cut"
    bm25_engine: BM25Engine = "bm25s"
    encoder: str | None = None  # where the index's bi-encoder is now; None: where it was
    device: str | None = None  # None: CUDA, MPS or CPU, the first there is
    offline: bool = False  # never ask a hub
    runtime: Runtime = "auto"  # of the models: ONNX Runtime on a CPU, or PyTorch

    @property
    def limits(self) -> Limits:
        """When the scoring of a query ends."""
        return Limits(self.rerank == "auto", self.budget_ms)

    def __post_init__(self) -> None:
        """Check what does not need an index.

        Raises:
            ConfigError: a depth, cutoff or budget below 1, a weight or probability outside 0 to 1,
                a phrase weight below 0, an unknown mode, engine, normalisation or runtime, or two
                options that exclude each other.
        """
        check_runtime(self.runtime)
        for name in ("depth", "rerank_depth", "auto_top", "cutoff"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)}; expected at least 1")
        if self.mode is not None and self.mode not in MODES:
            raise ConfigError(f"mode {self.mode!r}; expected one of {', '.join(MODES)}")
        if self.bm25_engine not in BM25_ENGINES:
            raise ConfigError(
                f"BM25 engine {self.bm25_engine!r}; expected one of {', '.join(BM25_ENGINES)}"
            )
        Interpolation().changed(self.rerank_weight, self.rerank_normalisation)
        if not 0 <= self.phrase_weight < math.inf:  # also false for NaN
            raise ConfigError(
                f"phrase weight {self.phrase_weight}; expected a number of at least 0 (0: none)"
            )
        least = self.min_probability
        if least is not None and not 0 <= least <= 1:  # also true for NaN
            raise ConfigError(f"minimum probability {least}; expected a number from 0 to 1")
        self._check_reranking()

    def _check_reranking(self) -> None:
        if self.rerank not in RERANKINGS:
            raise ConfigError(f"rerank {self.rerank!r}; expected one of {', '.join(RERANKINGS)}")
        if self.budget_ms is not None and not self.budget_ms >= 1:  # also true for NaN
            raise ConfigError(f"budget {self.budget_ms:g} ms; expected at least 1")
        if self.rerank == "cascade" and self.budget_ms is not None:
            raise ConfigError(
                "rerank cascade with a budget of time; expected one of them (--rerank auto stops"
                " early within a budget)"
            )
        if self.rerank != "full" and self.min_probability is not None:
            raise ConfigError(
                f"rerank {self.rerank} with a minimum probability; expected one of them: a likely"
                " document may stand anywhere among the candidates, so all must be scored (--rerank"
                " full)"
            )
