"""Recipes, the rows that losses learn from, and the card."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scisearch.index.errors import ConfigError
from scisearch.rerank.training.card import CardSection, card_text
from scisearch.rerank.training.examples import list_rows, margin_rows, pair_rows
from scisearch.rerank.training.lists import ListCounts, RerankingList
from scisearch.rerank.training.losses import positive_weight
from scisearch.rerank.training.recipe import PRESETS, Recipe
from scisearch.rerank.training.report import EpochResult, TrainingReport, epoch_markdown

LISTS = [RerankingList("q", ("p1", "p2", "p3"), ("n1", "n2", "n3", "n4"))]


def test_the_preset_is_the_recipe_of_the_model_card() -> None:
    recipe = PRESETS["scidocs"]
    assert recipe.base == "cross-encoder/ms-marco-MiniLM-L6-v2"
    assert (recipe.loss, recipe.pos_weight) == ("bce", 5.0)
    assert (recipe.learning_rate, recipe.batch_size, recipe.epochs) == (3e-5, 16, 10)
    assert (recipe.warmup, recipe.max_length, recipe.seed) == (0.1, 512, 42)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch size 0; expected at least 1"),
        ({"learning_rate": 3.0}, "learning rate 3.0; expected 0 to 1"),
        ({"learning_rate": float("nan")}, "learning rate nan; expected 0 to 1"),
        ({"pos_weight": 0.0}, "pos weight 0.0; expected above 0 or auto"),
        ({"loss": "hinge"}, "loss hinge; expected one of bce, listwise"),
        ({"metric": "auc"}, "metric auc; expected one of ndcg@10"),
        ({"layers": (0, 0)}, "expected different numbers from 0"),
        ({"warmup": 1.0}, "warmup 1.0; expected a share"),
        ({"loss": "margin-mse"}, "loss margin-mse with teacher None"),
        ({"teacher": "x"}, "loss bce with teacher x"),
        ({"precision": "half"}, "precision half; expected one of auto, float32, mixed"),
        ({"freeze": -1}, "freeze -1; expected at least 0"),
    ],
)
def test_a_wrong_recipe_is_named(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe(**changes)


def test_two_recipes_have_two_digests() -> None:
    assert Recipe().digest("a") == Recipe().digest("a")
    assert Recipe().digest("a") != Recipe(seed=1).digest("a")
    assert Recipe().digest("a") != Recipe().digest("b")


def test_auto_is_the_negatives_per_positive() -> None:
    train = ListCounts(lists=2, queries=2, pairs=12, positives=2)
    assert positive_weight(Recipe(pos_weight="auto"), train) == 5.0
    assert positive_weight(Recipe(pos_weight=3.0), train) == 3.0


def test_rows_of_pairs() -> None:
    rows = pair_rows(LISTS)
    assert rows["text"] == ["p1", "p2", "p3", "n1", "n2", "n3", "n4"]
    assert rows["label"] == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]


def test_rows_of_lists_have_both_classes() -> None:
    rows = list_rows(LISTS, Recipe(loss="listwise", list_size=4))
    assert [text[0] for text in rows["texts"][0]] == ["p", "p", "n", "n"]
    assert rows["labels"] == [[100.0, 100.0, 0.0, 0.0]]
    assert list_rows(LISTS, Recipe(loss="lambda", list_size=2))["labels"] == [[1.0, 0.0]]


def test_rows_of_margins_have_the_same_number_of_negatives() -> None:
    scores = {("q", text): float(place) for place, text in enumerate(LISTS[0].texts)}
    recipe = Recipe(loss="margin-mse", teacher="t", list_size=7)
    rows = margin_rows(LISTS, recipe, scores)
    assert rows["positive"] == ["p1", "p2", "p3"]
    assert rows["negative_5"] == rows["negative_1"] == ["n1"] * 3  # four negatives, then again
    assert rows["label"][0] == [0.0, 3.0, 4.0, 5.0, 6.0, 3.0, 4.0]


def report() -> TrainingReport:
    numbers = ListCounts(lists=4, queries=4, pairs=24, positives=4)
    return TrainingReport(
        output=Path("mine"),
        recipe=Recipe(pos_weight="auto"),
        base="cross-encoder/base",
        base_sha256="b" * 64,
        sha256="a" * 64,
        n_parameters=22_700_000,
        train=numbers,
        validation=numbers,
        sources=("lists.jsonl",),
        licences={"CC-BY-4.0": 8},
        notes=("two lists were left out",),
        epochs=(
            EpochResult(0, None, 0.9, 0.8, 0.5, 0.6, 0.4),
            EpochResult(1, 0.7, 0.6, 0.9, 0.7, 0.8, 0.65),
        ),
        best_epoch=1,
        stopped_early=False,
        device="cpu",
        precision="float32",
        seconds=3725.0,
        versions={"torch": "2.13.0"},
        command="search train lists.jsonl -o mine",
    )


def test_the_table_shows_what_was_kept() -> None:
    lines = epoch_markdown(report()).splitlines()
    assert lines[2] == "| 0 (base) |  | 0.9000 | 0.8000 | 0.5000 | 0.6000 | 0.4000 |"
    assert lines[3].startswith("| **1** | **0.7000** | **0.6000** |")


def test_the_card_has_everything_and_the_sections_of_others() -> None:
    text = card_text(report(), [CardSection("Calibration", "ECE 0.02")])
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "Intended use",
        "Training data",
        "Recipe",
        "Results by epoch",
        "Calibration",
        "Limits",
        "How to reproduce it",
    ]
    for part in (
        "a" * 64,
        "pos_weight 5",
        "| training | 4 | 4 | 24 | 4 | 16.7% |",
        "CC-BY-4.0 (8 lists)",
        "two lists were left out",
        "1 h 2 min",
        "search train lists.jsonl -o mine",
        "from 0.6000 to 0.8000",
        "ECE 0.02",
    ):
        assert part in text
