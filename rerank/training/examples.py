"""Lists as the rows that a loss learns from: a pair, a list, or a positive with its negatives."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scisearch.index.errors import TrainingError
from scisearch.rerank.training.lists import RerankingList, flatten
from scisearch.rerank.training.recipe import FIRST_STAGE_LOSSES, Recipe
from scisearch.rerank.training.sharpness import ScoredRow, Sharpness, fit_by_kind
from scisearch.retrieval.textfile import shown

if TYPE_CHECKING:
    from datasets import Dataset

# ListNet's target is the softmax of the labels; of 100 and 0 it is 1 / n at each of n positives.
_CERTAIN = 100.0

Rows = dict[str, list[Any]]  # column -> values
TeacherScores = Mapping[tuple[str, str], float]  # (query, text) -> logit


@dataclass(frozen=True, slots=True)
class Known:
    """What others say of the texts of the lists, where the loss learns from it."""

    teacher: TeacherScores | None = None
    sharpness: Sharpness | None = None  # of the first stage


def examples(
    lists: Sequence[RerankingList], recipe: Recipe, known: Known | None = None
) -> "Dataset":
    """The rows of the recipe's loss, columns in the order that its loss reads them.

    bce: query, text, label; listwise and lambda: query, texts, labels; margin-mse: query, positive,
    negative_1.., label (the teacher's scores); residual and soft: as `residual_rows`. Which
    negatives a list larger than `list_size` gives follows from the recipe's seed.

    Raises:
        TrainingError: the loss needs scores of the first stage and a list has none.
    """
    from datasets import Dataset

    known = known or Known()
    if recipe.loss == "bce":
        rows = pair_rows(lists)
    elif recipe.loss == "margin-mse":
        rows = margin_rows(lists, recipe, known.teacher or {})
    elif recipe.loss in FIRST_STAGE_LOSSES:
        rows = residual_rows(lists, recipe, known.sharpness or Sharpness(0.0, {}))
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


def residual_rows(lists: Sequence[RerankingList], recipe: Recipe, sharpness: Sharpness) -> Rows:
    """A positive with negatives of its list, and what the first stage said of them.

    A row for at most half of `list_size` positives of a list, those that the first stage found
    where there are such; the others are in no row. `labels` of a row of n texts has 2 n + 1
    numbers: the offsets (sharpness of the query's kind times score), the corrections (-ln of the
    inclusion rate), and 1, or 0 where a score is missing and the offsets mean nothing.

    Raises:
        TrainingError: a list has no scores.
    """
    rows: Rows = {"query": [], "texts": [], "labels": []}
    for query, texts, row in _residual(lists, recipe):
        told = not np.isnan(row.scores).any()
        offsets = sharpness.of(row.kind) * np.nan_to_num(row.scores)
        rows["query"].append(query)
        rows["texts"].append(texts)
        rows["labels"].append([*offsets.tolist(), *row.corrections.tolist(), float(told)])
    return rows


def first_stage_sharpness(lists: Sequence[RerankingList], recipe: Recipe) -> Sharpness:
    """How sure the first stage is of its scores, fitted on the rows that are learned from.

    Raises:
        TrainingError: a list has no scores, or no row has all of them.
    """
    rows = [row for _, _, row in _residual(lists, recipe) if not np.isnan(row.scores).any()]
    if not rows:
        raise TrainingError(
            f"none of {len(lists)} training lists has a score for a positive and its negatives:"
            f" the first stage found no positive; loss {recipe.loss} has nothing to learn from it,"
            " use --loss listwise"
        )
    return fit_by_kind(rows)


def _residual(
    lists: Sequence[RerankingList], recipe: Recipe
) -> Iterator[tuple[str, list[str], ScoredRow]]:
    """Query, texts (positive first) and scores of each row; NaN where there is none."""
    generator = np.random.default_rng(recipe.seed)
    for one in lists:
        stage = one.first_stage
        if stage is None:
            raise TrainingError(
                f"the list of {shown(one.query)} has no first-stage scores, which loss"
                f" {recipe.loss} learns from; give lists with positive_scores and negative_scores,"
                " or mine them with --from-index"
            )
        found = [i for i, score in enumerate(stage.positives) if score is not None]
        some = found or list(range(len(one.positives)))
        n_positives = min(len(some), max(1, recipe.list_size // 2))
        n_negatives = min(len(one.negatives), recipe.list_size - 1)
        share = n_negatives / len(one.negatives)
        for positive in np.sort(generator.choice(some, n_positives, replace=False)):
            drawn = np.sort(generator.choice(len(one.negatives), n_negatives, replace=False))
            scores = [stage.positives[positive], *(stage.negatives[i] for i in drawn)]
            rates = [1.0, *(stage.rates[i] * share for i in drawn)]
            yield (
                one.query,
                [one.positives[positive], *(one.negatives[i] for i in drawn)],
                ScoredRow(np.array(scores, np.float64), -np.log(rates), one.kind),
            )


def _draw(seed: int) -> Callable[[tuple[str, ...], int], list[str]]:
    """Something that draws at most so many of some texts, which keep their order."""
    generator = np.random.default_rng(seed)

    def draw(texts: tuple[str, ...], count: int) -> list[str]:
        if len(texts) <= count:
            return list(texts)
        chosen = generator.choice(len(texts), count, replace=False)
        return [texts[place] for place in np.sort(chosen)]

    return draw
