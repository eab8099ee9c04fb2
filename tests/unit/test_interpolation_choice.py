"""The weight of a cross-encoder, chosen on scored candidates."""

from pathlib import Path

import numpy as np
import pytest

from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.interpolation_choice import ScoredCandidates, choose_interpolation
from scisearch.benchmarks.reweighing import INTERPOLATIONS
from scisearch.index.errors import ConfigError
from scisearch.rerank.interpolation import Interpolation, Reading
from scisearch.retrieval.ranking import Query


def collection(name: str, relevant: str) -> Collection:
    return Collection(name, Path("none"), (Query("q", "text"),), {"q": {relevant: 1}})


def candidates(fused: list[float], logits: list[float]) -> list[ScoredCandidates]:
    ids = ("a", "b", "c", "d")[: len(fused)]
    return [ScoredCandidates("q", ids, np.array(fused, np.float32), np.array(logits, np.float32))]


def test_a_right_cross_encoder_gets_the_least_weight_that_suffices() -> None:
    # c is relevant; fused 0.4 of 1 behind, the cross-encoder puts it 1 ahead
    one = candidates([1.0, 0.9, 0.6, 0.0], [0.0, 1.0, 5.0, 0.0])
    choice = choose_interpolation([(collection("one", "c"), one)])
    assert choice.means[choice.chosen] == 1.0
    assert choice.unused == 0.5
    lower = [w for w in INTERPOLATIONS if w.weight < choice.chosen.weight]
    assert all(choice.means[setting] < 1.0 for setting in lower)
    assert choice.collections == {"one": 1}


def test_a_wrong_cross_encoder_gets_none() -> None:
    one = candidates([1.0, 0.5, 0.2], [-9.0, 3.0, 8.0])
    choice = choose_interpolation([(collection("one", "a"), one)])
    assert choice.chosen.weight == 0.0


def test_the_weight_is_chosen_as_it_will_be_heard() -> None:
    # the cross-encoder is right, but the documents are as short as to be heard by half
    ids, fused = ("a", "b"), np.array([1.0, 0.0], np.float32)
    logits, lengths = np.array([0.0, 5.0], np.float32), np.array([150, 150])
    one = [ScoredCandidates("q", ids, fused, logits, Reading(lengths))]
    plain = choose_interpolation([(collection("one", "b"), one)])
    ramp = Interpolation(lengths=(100, 200))
    halved = choose_interpolation([(collection("one", "b"), one)], ramp)
    assert plain.mean(0.7, "logit") == 1  # 0.7 * 5 / 10 > 0.3
    assert halved.mean(0.8, "logit") == plain.mean(0.4, "logit") < 1
    assert (plain.chosen.weight, halved.chosen.lengths) == (0.55, (100, 200))  # min-max
    assert halved.unused == plain.unused


def test_every_collection_weighs_the_same() -> None:
    right = collection("r", "b"), candidates([1.0, 0.0], [0.0, 9.0])
    wrong = collection("w", "a"), candidates([1.0, 0.0], [0.0, 9.0])
    choice = choose_interpolation([right, wrong])
    half = pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert all(mean == half for mean in choice.means.values())
    assert choice.chosen.weight == 0.0


def test_no_collection_is_an_error() -> None:
    with pytest.raises(ConfigError, match="found no dev collection, expected at least one"):
        choose_interpolation([])
