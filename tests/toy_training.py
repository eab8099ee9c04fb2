"""Lists, recipes and helpers of the tests that train tiny cross-encoders."""

import json
import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from scisearch.rerank.training.data import DataOptions, TrainingData, split_data
from scisearch.rerank.training.lists import FirstStage, RerankingList
from scisearch.rerank.training.recipe import Recipe
from scisearch.rerank.training.train import TrainOptions

WORDS = ["protein", "folding", "attention", "retrieval", "scientific", "abstracts", "dense"]
WORDS += ["vectors", "candidates", "zebrafish", "embryos", "mice", "cells", "query", "layers"]
ON_CPU = TrainOptions(device="cpu", offline=True)


def toy_lists(n: int = 24) -> list[RerankingList]:
    """A text is relevant if it has the query's words."""
    draw = random.Random(3)
    lists = []
    for one, two in draw.sample(list(combinations(WORDS, 2)), n):
        three, four = draw.sample(WORDS, 2)
        others = tuple(" ".join(draw.sample(WORDS, 2)) for _ in range(3))
        lists.append(RerankingList(f"{one} {two}", (f"{one} {two} {three} {four}",), others))
    return lists


def toy_data() -> TrainingData:
    return split_data(toy_lists(), DataOptions(validation_share=0.25), sources=("toy",))


def scored_data() -> TrainingData:
    """Lists whose first stage is wrong about the last negative only."""
    stage = FirstStage((0.75,), (0.0, 0.5, 1.0), (0.5, 0.5, 0.5))
    lists = [replace(one, kind="claim", first_stage=stage) for one in toy_lists()]
    return split_data(lists, DataOptions(validation_share=0.25), sources=("toy",))


def tiny(base: Path, **changes: Any) -> Recipe:
    recipe = Recipe(base=str(base), epochs=2, batch_size=8, max_length=32, learning_rate=1e-3)
    return replace(recipe, **changes)


def write_lists(path: Path) -> Path:
    rows = [
        {"query": one.query, "positive": one.positives, "negative": one.negatives}
        for one in toy_lists()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def resumable(base: Path, loss: Any) -> Recipe:
    # eighteen lists: as many steps an epoch with pairs as with lists
    size = {"batch_size": 8} if loss == "bce" else {"batch_size": 2, "list_size": 3}
    return tiny(base, epochs=3, checkpoint_steps=4, loss=loss, **size)
