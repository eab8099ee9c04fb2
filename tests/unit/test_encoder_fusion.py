"""How a search fuses: as it was asked to, else as is known of the index's bi-encoder."""

from types import SimpleNamespace
from typing import Any

import pytest

from scisearch.index.models import BUILT_IN, DEFAULT_BI_ENCODER
from scisearch.retrieval.encoder_fusion import NUMBERS, fusion_of
from scisearch.retrieval.fusion import DENSE_WEIGHT, Fusion

SHA256 = next(model.sha256 for model in BUILT_IN if model.name == DEFAULT_BI_ENCODER)
SPAN = NUMBERS[DEFAULT_BI_ENCODER].span


def index_of(encoder: dict[str, Any] | None) -> Any:
    return SimpleNamespace(manifest=SimpleNamespace(encoder=encoder))


@pytest.mark.parametrize("name", [DEFAULT_BI_ENCODER, "/papers/models/MiniLM"])
def test_an_encoder_is_known_by_its_weights(name: str) -> None:
    index = index_of({"name": name, "sha256": SHA256})
    assert fusion_of(index) == Fusion(dense_weight=DENSE_WEIGHT, dense_span=SPAN)
    asked = Fusion(dense_weight=0.3, neighbour_weight=0.0)
    assert fusion_of(index, asked) == Fusion("convex", 0.3, neighbour_weight=0.0, dense_span=SPAN)


def test_a_static_encoder_weighs_less_whatever_its_words() -> None:
    found = fusion_of(index_of({"name": "static", "sha256": "0" * 64}))
    assert (found.dense_weight, found.dense_span) == (0.3, 0)


@pytest.mark.parametrize("name", [DEFAULT_BI_ENCODER, "static"])
def test_what_was_asked_for_stays(name: str) -> None:
    index = index_of({"name": name, "sha256": SHA256})
    for fusion in (Fusion(dense_weight=0.5, dense_span=0.0), Fusion("rrf", 0.0, dense_span=0.2)):
        assert fusion_of(index, fusion) == fusion


@pytest.mark.parametrize("encoder", [None, {"name": DEFAULT_BI_ENCODER, "sha256": "0" * 64}])
def test_of_another_encoder_nothing_is_known(encoder: dict[str, Any] | None) -> None:
    plain = Fusion(dense_weight=DENSE_WEIGHT, dense_span=0.0)
    assert fusion_of(index_of(encoder)) == plain
