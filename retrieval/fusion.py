"""Which fusion, and with which numbers: the choice between the methods, each in its own file."""

import math
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
DENSE_WEIGHT = 0.5  # where it is not given
_TELLING = 2  # documents of a list that has a spread
_HEAD = 10  # documents of a dense list between which its spread is measured
FUSION_KINDS: tuple[FusionKind, ...] = get_args(FusionKind)


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the BM25 and the dense list of a query become one.

    With a `dense_span` the weight of a dense list, beside that of BM25, is multiplied by how far
    its first cosine is above its tenth, over `dense_span`: min-max scores stretch nearly equal
    cosines as wide as those that tell documents apart.

    Weight and span belong to the bi-encoder: a search takes what is known of the index's
    (`encoder_fusion.fusion_of`) where they are not given. Here they are DENSE_WEIGHT and 0 then.

    Raises:
        ConfigError: a weight is outside [0, 1], or k or a span is no number from 0.
    """

    kind: FusionKind = "convex"
    dense_weight: float | None = None  # convex only: of the dense list; BM25 has the rest
    rrf_k: float = 60.0  # RRF only
    neighbour_weight: float = 0.25  # of the scores of similar candidates; 0: none
    dense_span: float | None = None  # convex only: cosines that make the weight whole; 0: any do

    def __post_init__(self) -> None:
        """Check the numbers, so that a wrong one is named before any work."""
        if self.kind not in FUSION_KINDS:
            raise ConfigError(f"fusion {self.kind!r}; expected one of {', '.join(FUSION_KINDS)}")
        if not 0 <= self.dense_share <= 1:
            raise ConfigError(f"dense weight {self.dense_weight}; expected a number from 0 to 1")
        if not 0 <= self.neighbour_weight <= 1:
            raise ConfigError(
                f"neighbour weight {self.neighbour_weight}; expected a number from 0 to 1"
            )
        if self.rrf_k < 0:
            raise ConfigError(f"RRF k {self.rrf_k}; expected a number of at least 0")
        if self.dense_span is not None and not 0 <= self.dense_span < math.inf:
            raise ConfigError(f"dense span {self.dense_span}; expected a number of at least 0")

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

    @property
    def dense_share(self) -> float:
        """The weight of the dense list, also where it was not given."""
        return DENSE_WEIGHT if self.dense_weight is None else self.dense_weight

    def _fused(self, legs: Mapping[str, Scored], id_rank: IdRank) -> Scored:
        if self.kind == "rrf":
            return rrf(list(legs.values()), id_rank, k=self.rrf_k)
        weights = self._weights(legs)
        return convex(list(legs.values()), [weights[leg] for leg in legs], id_rank)

    def _weights(self, legs: Mapping[str, Scored]) -> dict[str, float]:
        """The weight of each list, of sum 1."""
        lexical, dense = 1 - self.dense_share, self.dense_share
        if not self.dense_span or len(legs.get("dense", ())) < _TELLING:
            return {"bm25": lexical, "dense": dense}
        scores = legs["dense"].scores
        dense *= float(scores[0] - scores[:_HEAD][-1]) / self.dense_span
        total = lexical + dense
        if not total:  # the dense list alone counts, and tells nothing apart
            return {"bm25": 0.0, "dense": 1.0}
        return {"bm25": lexical / total, "dense": dense / total}
