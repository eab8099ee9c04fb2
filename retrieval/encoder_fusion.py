"""How the lists of a bi-encoder are to be fused, where that is known and nobody asked otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from scisearch.index.models import DEFAULT_BI_ENCODER, STATIC_ENCODER, built_in_model
from scisearch.index.opened import OpenIndex
from scisearch.retrieval.fusion import DENSE_WEIGHT, Fusion


@dataclass(frozen=True, slots=True)
class DenseNumbers:
    """The two numbers of a `Fusion` that belong to the bi-encoder."""

    weight: float = DENSE_WEIGHT
    span: float = 0.0


# Chosen on dev collections, benchmarks/LOG.md, 2026-11-27. Of other bi-encoders nothing is known.
NUMBERS = {
    DEFAULT_BI_ENCODER: DenseNumbers(span=0.12),
    STATIC_ENCODER: DenseNumbers(weight=0.3),
}


def fusion_of(index: OpenIndex, fusion: Fusion | None = None) -> Fusion:
    """The fusion with the numbers of the bi-encoder that built the index, where it names none.

    A model is known by its weights: it has the same numbers in a folder of another name.
    """
    fusion = fusion or Fusion()
    encoder = index.manifest.encoder or {}
    known = next((of for name, of in NUMBERS.items() if is_encoder(encoder, name)), DenseNumbers())
    weight, span = fusion.dense_weight, fusion.dense_span
    return replace(
        fusion,
        dense_weight=known.weight if weight is None else weight,
        dense_span=known.span if span is None else span,
    )


def is_encoder(encoder: Mapping[str, object], name: str) -> bool:
    """Whether this entry of a manifest is the bi-encoder of a name, wherever it was."""
    built_in = built_in_model(name)
    if built_in is None:
        return encoder.get("name") == name
    return encoder.get("sha256") == built_in.sha256
