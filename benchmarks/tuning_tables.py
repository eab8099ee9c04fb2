"""The tables that `search tune` chooses from: nDCG@10 of each query with each setting."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np

from scisearch.benchmarks.candidate_lists import QueryLists
from scisearch.benchmarks.candidate_scores import ScoreFile, Work
from scisearch.benchmarks.cross_validation import Table, best_setting, training_sets
from scisearch.benchmarks.reweighing import fused_list, fused_row, interpolated_row
from scisearch.benchmarks.tuning_grid import Grid
from scisearch.index.progress import Progress, stage_of
from scisearch.rerank.interpolation import Reading
from scisearch.retrieval.ranking import IdRank, Ordinals, Scored

Heads = Mapping[int, Sequence[Scored]]  # place of a fusion -> each query's candidates


def first_tables(
    lists: Sequence[QueryLists], grid: Grid, id_rank: IdRank, progress: Progress
) -> dict[str, dict[int, Table]]:
    """System -> its one table, of bm25 and, with two first stages, dense and hybrid."""
    names = list(lists[0].legs)
    tables: dict[str, dict[int, Table]] = {
        name: {0: np.array([[one.judged.ndcg(one.legs[name].ordinals)] for one in lists])}
        for name in names
    }
    if len(names) > 1:
        rows = []
        with stage_of(progress, "fusions", len(lists), unit="queries"):
            for one in lists:
                rows.append(fused_row(one.legs, grid.fusions, id_rank, one.judged, one.vectors_of))
                progress.advance(1)
        tables["hybrid"] = {0: np.array(rows)}
    return tables


def fusions_to_rerank(fused: Table | None, grid: Grid, folds: int, seed: int) -> list[int]:
    """The places of the fusions that some training set chooses, and of the default one.

    `fused` is the table of the fusions, None where there is one first stage only. Only the
    candidates of these need a cross-encoder.
    """
    places = {grid.default_fusion}
    if fused is not None:
        places |= {best_setting(fused, rows) for rows in training_sets(len(fused), folds, seed)}
    return sorted(places)


def heads_of(
    lists: Sequence[QueryLists], grid: Grid, places: Iterable[int], id_rank: IdRank
) -> dict[int, list[Scored]]:
    """The candidates of every query with each of these fusions, as many as any setting reranks."""
    return {
        place: [
            fused_list(one.legs, *grid.fusions[place], id_rank, one.vectors_of).cut(
                grid.deepest_rerank
            )
            for one in lists
        ]
        for place in places
    }


def candidates(lists: Sequence[QueryLists], heads: Heads) -> list[Work]:
    """Each query with the candidates of all fusions, every one once."""
    return [
        (one.query, np.unique(np.concatenate([of[i].ordinals for of in heads.values()])))
        for i, one in enumerate(lists)
    ]


def rerank_tables(
    lists: Sequence[QueryLists],
    heads: Heads,
    scores: ScoreFile,
    grid: Grid,
    *,
    id_rank: IdRank,
    reordered: Callable[[str, Scored, int, float], Scored],
    reading_of: Callable[[Ordinals], Reading],
    progress: Progress,
) -> dict[int, Table]:
    """Place of a fusion -> the table of every reranking of its candidates.

    `reordered` gives a query's candidates as they are reranked, from the fused ones, how many of
    them and the weight of phrases; `reading_of` what a weight may depend on, of candidates in that
    order.
    """
    groups = groupby(grid.reranks, key=lambda one: (one.depth, one.phrase_weight))
    lists_of = {key: [one.interpolation for one in group] for key, group in groups}
    tables: dict[int, Table] = {}
    with stage_of(progress, "interpolations", len(heads) * len(lists), unit="queries"):
        for place, of in heads.items():
            rows = []
            for one, head in zip(lists, of, strict=True):
                parts = []
                for (depth, phrase_weight), settings in lists_of.items():
                    own = reordered(one.query.text, head, depth, phrase_weight)
                    logits = scores.logits(one.query.query_id, own.ordinals)
                    reading = reading_of(own.ordinals)
                    weighed = [setting.for_query(reading) for setting in settings]
                    parts.append(interpolated_row(own, logits, weighed, id_rank, one.judged))
                rows.append(np.concatenate(parts))
                progress.advance(1)
            tables[place] = np.array(rows)
    return tables
