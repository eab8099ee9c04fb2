"""Which fusion, and with which numbers: the choice between the methods, each in its own file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError
from scisearch.retrieval.convex import convex
from scisearch.retrieval.neighbours import smoothed
from scisearch.retrieval.ranking import IdRank, Ordinals, Scored, rank
from scisearch.retrieval.rrf import rrf

FusionKind = Literal["convex", "rrf"]
VectorsOf = Callable[[Ordinals], NDArray[np.float32]]  # unit rows of documents
FUSION_KINDS: tuple[FusionKind, ...] = get_args(FusionKind)


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the BM25 and the dense list of a query become one.

    Raises:
        ConfigError: a weight is outside [0, 1], or k is negative.
    """

    kind: FusionKind = "convex"
    dense_weight: float = 0.5  # convex only: weight of the dense list; BM25 has the rest
    rrf_k: float = 60.0  # RRF only
    neighbour_weight: float = 0.2  # of the scores of similar candidates; 0: none

    def __post_init__(self) -> None:
        """Check the numbers, so that a wrong one is named before any work."""
        if self.kind not in FUSION_KINDS:
            raise ConfigError(f"fusion {self.kind!r}; expected one of {', '.join(FUSION_KINDS)}")
        if not 0 <= self.dense_weight <= 1:
            raise ConfigError(f"dense weight {self.dense_weight}; expected a number from 0 to 1")
        if not 0 <= self.neighbour_weight <= 1:
            raise ConfigError(
                f"neighbour weight {self.neighbour_weight}; expected a number from 0 to 1"
            )
        if self.rrf_k < 0:
            raise ConfigError(f"RRF k {self.rrf_k}; expected a number of at least 0")

    def fuse(
        self,
        legs: Mapping[str, Scored],
        id_rank: IdRank,
        vectors_of: VectorsOf | None = None,
    ) -> Scored:
        """Fuse the lists of one query, given by leg name ("bm25", "dense").

        Scores are then drawn towards those of similar candidates (`neighbours.smoothed`) where
        `vectors_of` tells what is similar; None: they stay as they are.
        """
        fused = self._fused(legs, id_rank)
        if vectors_of is None or not self.neighbour_weight or not len(fused):
            return fused
        vectors = vectors_of(fused.ordinals)
        scores = smoothed(fused.scores, vectors, self.neighbour_weight)
        return rank(fused.ordinals, scores, id_rank)

    def _fused(self, legs: Mapping[str, Scored], id_rank: IdRank) -> Scored:
        if self.kind == "rrf":
            return rrf(list(legs.values()), id_rank, k=self.rrf_k)
        weights = {"bm25": 1 - self.dense_weight, "dense": self.dense_weight}
        return convex(list(legs.values()), [weights[leg] for leg in legs], id_rank)
