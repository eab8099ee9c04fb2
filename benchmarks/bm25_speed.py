"""BM25 queries per second: ours against bm25s and rank_bm25, on the same terms of one index.

    python -m scisearch.benchmarks.bm25_speed --index search-index --topics queries.jsonl

The systems take turns at each query; times are of the processor. Scoring and the best 100 are
measured, not the analysis of the query's text, which all of them would share. rank_bm25 agrees
with an index that was built with `--bm25-variant okapi`.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.commands import Command
from scisearch.benchmarks.latency import spread_queries
from scisearch.index.opened import OpenIndex, open_index
from scisearch.retrieval.bm25 import BM25Retriever, RankBM25Retriever, query_terms
from scisearch.retrieval.ranking import Query, Scores
from scisearch.retrieval.topics import read_topics

_DEPTH = 100
_AGREEMENT = 1e-4  # relative; rank_bm25 adds in float64

Ranker = Callable[[dict[int, int]], Scores]  # term id -> count; the best scores, falling


def compare_speed(
    index: OpenIndex, topics: Sequence[Query], *, repeats: int = 3, with_rank_bm25: bool = True
) -> dict[str, Any]:
    """Median processor milliseconds of each system, ratios to ours, and whether scores agree.

    Args:
        index: what is searched.
        topics: each is searched `repeats` times by each system; rank_bm25 does a tenth of them.
        repeats: the least of them counts for a query.
        with_rank_bm25: it takes minutes to build, and some GB, on 100,000 documents.
    """
    lexical = index.lexical
    counts = [query_terms(lexical, index.analyzer.terms(topic.text)) for topic in topics]
    rankers = {"scisearch": _ours(index), "bm25s": _bm25s(index)}
    samples = _interleaved(rankers, counts, repeats)
    if with_rank_bm25:
        slow = {"scisearch": rankers["scisearch"], "rank-bm25": _rank_bm25(index)}
        samples |= {"rank-bm25": _interleaved(slow, counts[::10], 1)["rank-bm25"]}
    best = rankers["scisearch"]
    return {
        "queries": len(topics),
        "documents": lexical.n_docs,
        "milliseconds": {name: round(median(taken), 4) for name, (taken, _) in samples.items()},
        "times_ours": {
            name: round(median(taken) / median(samples["scisearch"][0]), 2)
            for name, (taken, _) in samples.items()
        },
        "agrees": {
            name: all(
                _agree(best(one), scores)
                for one, scores in zip(
                    counts[::10] if name == "rank-bm25" else counts, found, strict=True
                )
            )
            for name, (_, found) in samples.items()
        },
    }


def _interleaved(
    rankers: dict[str, Ranker], counts: Sequence[dict[int, int]], repeats: int
) -> dict[str, tuple[list[float], list[Scores]]]:
    taken: dict[str, tuple[list[float], list[Scores]]] = {name: ([], []) for name in rankers}
    for place, one in enumerate(counts):
        least = dict.fromkeys(rankers, float("inf"))
        found: dict[str, Scores] = {}
        for turn in range(repeats):
            names = list(rankers)
            shift = (place + turn) % len(names)
            for name in names[shift:] + names[:shift]:
                begin = time.process_time()
                found[name] = rankers[name](one)
                least[name] = min(least[name], 1000 * (time.process_time() - begin))
        for name in rankers:
            taken[name][0].append(least[name])
            taken[name][1].append(found[name])
    return taken


def _ours(index: OpenIndex) -> Ranker:
    retriever = BM25Retriever(index.lexical, index.analyzer, index.documents.id_rank)
    return lambda counts: retriever.best(counts, depth=_DEPTH).scores


def _bm25s(index: OpenIndex) -> Ranker:
    """bm25s as it is: its own sum and its own choice of the best, on our columns."""
    import bm25s
    from bm25s.selection import topk

    lexical = index.lexical
    scorer = bm25s.BM25(backend="numpy")
    columns = {"data": lexical.data, "indices": lexical.indices, "indptr": lexical.indptr}
    scorer.scores = {**columns, "num_docs": lexical.n_docs}
    scorer.nonoccurrence_array = None
    depth = min(_DEPTH, lexical.n_docs)

    def best(counts: dict[int, int]) -> Scores:
        ids = [term for term, n in counts.items() for _ in range(n)]
        scores, _ = topk(scorer.get_scores_from_ids(ids), depth, backend="numpy", sorted=True)
        return np.asarray(scores)

    return best


def _rank_bm25(index: OpenIndex) -> Ranker:
    """BM25Okapi's `get_scores` over the same terms, and a sort of the best."""
    lexical = index.lexical
    retriever = RankBM25Retriever(lexical, index.analyzer, index.documents.id_rank)
    okapi = retriever.engine(np.ones(lexical.n_docs, np.bool_))

    def best(counts: dict[int, int]) -> Scores:
        ids = [term for term, n in counts.items() for _ in range(n)]
        with np.errstate(invalid="ignore"):
            scores: NDArray[Any] = np.nan_to_num(okapi.get_scores(ids))
        return np.sort(scores[np.argpartition(scores, -_DEPTH)[-_DEPTH:]])[::-1].astype(np.float32)

    return best


def _agree(ours: Scores, theirs: Scores) -> bool:
    """Equal down to the last positive score."""
    positive = theirs[theirs > 0]
    return len(ours) == len(positive) and bool(np.allclose(ours, positive, rtol=_AGREEMENT))


@click.command(cls=Command)
@click.option("--index", "folder", required=True, type=click.Path(path_type=Path))
@click.option("--topics", required=True, type=click.Path(path_type=Path))
@click.option("--queries", default=200, show_default=True)
@click.option("--rank-bm25/--no-rank-bm25", default=True, show_default=True)
def main(folder: Path, topics: Path, queries: int, rank_bm25: bool) -> None:
    """Print the times and ratios as JSON."""
    chosen = spread_queries(read_topics(topics), queries)
    result = compare_speed(open_index(folder), chosen, with_rank_bm25=rank_bm25)
    click.echo(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
