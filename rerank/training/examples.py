"""Lists as the rows that a loss learns from: a pair, a list, or a positive with its negatives."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scisearch.rerank.training.lists import RerankingList, flatten
from scisearch.rerank.training.recipe import Recipe

if TYPE_CHECKING:
    from datasets import Dataset

# ListNet's target is the softmax of the labels; of 100 and 0 it is 1 / n at each of n positives.
_CERTAIN = 100.0

Rows = dict[str, list[Any]]  # column -> values
TeacherScores = Mapping[tuple[str, str], float]  # (query, text) -> logit


def examples(
    lists: Sequence[RerankingList], recipe: Recipe, teacher: TeacherScores | None = None
) -> "Dataset":
    """The rows of the recipe's loss, columns in the order that its loss reads them.

    bce: query, text, label; listwise and lambda: query, texts, labels; margin-mse: query, positive,
    negative_1.., label (the teacher's scores). Which negatives a list larger than `list_size`
    gives follows from the recipe's seed.
    """
    from datasets import Dataset

    if recipe.loss == "bce":
        rows = pair_rows(lists)
    elif recipe.loss == "margin-mse":
        rows = margin_rows(lists, recipe, teacher or {})
    else:
        rows = list_rows(lists, recipe)
    return Dataset.from_dict(rows)


def pair_rows(lists: Sequence[RerankingList]) -> Rows:
    """Every pair by itself, labels 0.0 and 1.0."""
    pairs = list(flatten(lists))
    return {
        "query": [pair.query for pair in pairs],
        "text": [pair.text for pair in pairs],
        "label": [float(pair.label) for pair in pairs],
    }


def list_rows(lists: Sequence[RerankingList], recipe: Recipe) -> Rows:
    """At most `list_size` texts a query, at most half of them positive (one at least)."""
    draw = _draw(recipe.seed)
    relevant = _CERTAIN if recipe.loss == "listwise" else 1.0
    rows: Rows = {"query": [], "texts": [], "labels": []}
    for one in lists:
        positives = draw(one.positives, max(1, recipe.list_size // 2))
        negatives = draw(one.negatives, recipe.list_size - len(positives))
        rows["query"].append(one.query)
        rows["texts"].append([*positives, *negatives])
        rows["labels"].append([relevant] * len(positives) + [0.0] * len(negatives))
    return rows


def margin_rows(lists: Sequence[RerankingList], recipe: Recipe, teacher: TeacherScores) -> Rows:
    """Each positive with `list_size - 1` negatives of its list, some twice where it has fewer."""
    draw = _draw(recipe.seed)
    n_negatives = recipe.list_size - 1
    columns = [f"negative_{number}" for number in range(1, n_negatives + 1)]
    rows: Rows = {name: [] for name in ("query", "positive", *columns, "label")}
    for one in lists:
        for positive in one.positives:
            drawn = draw(one.negatives, n_negatives)
            negatives = [drawn[place % len(drawn)] for place in range(n_negatives)]
            rows["query"].append(one.query)
            rows["positive"].append(positive)
            for column, negative in zip(columns, negatives, strict=True):
                rows[column].append(negative)
            rows["label"].append([teacher[one.query, text] for text in (positive, *negatives)])
    return rows


def _draw(seed: int) -> Callable[[tuple[str, ...], int], list[str]]:
    """Something that draws at most so many of some texts, which keep their order."""
    generator = np.random.default_rng(seed)

    def draw(texts: tuple[str, ...], count: int) -> list[str]:
        if len(texts) <= count:
            return list(texts)
        chosen = generator.choice(len(texts), count, replace=False)
        return [texts[place] for place in np.sort(chosen)]

    return draw
