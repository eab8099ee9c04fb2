"""TREC run files in and out: 'query_id Q0 doc_id rank score tag', six columns.

Scores decide the order of a run that is read, ranks are ignored; a run that is written has scores
that fall strictly, so that both say the same to every tool.
"""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from scisearch.index.durable import sync_folder
from scisearch.index.errors import RankingError
from scisearch.retrieval.ranking import Hit, RankedList, Run
from scisearch.retrieval.textfile import check_id, numbered_lines, read_bytes, shown

_COLUMNS = "'query_id Q0 doc_id rank score tag'"


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run as read, and what its rank column says against its scores.

    `reversed_queries` have scores that rise with the rank (distances, most likely),
    `disagreeing_queries` have ranks in some other order than the scores.
    """

    run: Run
    reversed_queries: tuple[str, ...]
    disagreeing_queries: tuple[str, ...]


@dataclass(slots=True)
class _Rows:
    """The lines of one query: scores by document, and the rank of each line, -1 for none."""

    scores: dict[str, float]
    ranks: list[int]


def read_run(path: Path) -> Run:
    """The ranked list of each query, ordered by score with ties in rising doc_id.

    Raises:
        RankingError: a malformed line, a score that is no finite number, a document twice for one
            query, or no line at all.
    """
    return read_run_file(path).run


def read_run_file(path: Path) -> RunFile:
    """The run of a file (also .gz), and the queries whose rank column contradicts the scores.

    Raises:
        RankingError: as for `read_run`.
    """
    path = Path(path)
    queries: dict[str, _Rows] = {}
    for number, line in numbered_lines(path, read_bytes(path)):
        columns = line.split()
        if len(columns) != 6:
            raise RankingError(
                f"{path}:{number}: found {len(columns)} columns in {shown(line)}, expected"
                f" {_COLUMNS}"
            )
        query_id, _, doc_id, rank, score_text, _ = columns
        score = _score(score_text, f"{path}:{number}")
        rows = queries.get(query_id)
        if rows is None:
            rows = queries[query_id] = _Rows({}, [])
        if doc_id in rows.scores:
            raise RankingError(
                f"{path}:{number}: found document {doc_id} again for query {query_id}, expected"
                " each once; remove one of the two lines"
            )
        rows.scores[doc_id] = score
        rows.ranks.append(int(rank) if rank.isascii() and rank.isdigit() else -1)
    if not queries:
        raise RankingError(f"{path}: found no line, expected a run of {_COLUMNS}")
    return _run_file(queries)


def format_run(query_id: str, hits: Sequence[Hit], *, tag: str) -> str:
    """The lines of one query's hits, ranks from 1; nothing for no hits.

    Scores are written as the shortest decimals that read back as the same float32.

    Raises:
        RankingError: scores that do not fall strictly as float32, a document twice, or an id or a
            tag that six columns cannot hold.
    """
    where = f"query {query_id}"
    check_id(query_id, where="run", what="query id")
    check_id(tag, where="run", what="tag")
    with np.errstate(over="ignore"):  # what overflows is infinite and refused below
        scores = [np.float32(hit.score) for hit in hits]
    for hit, score in zip(hits, scores, strict=True):
        check_id(hit.doc_id, where=where, what="document id")
        if not math.isfinite(score):
            raise RankingError(
                f"{where}: document {hit.doc_id} has score {hit.score}, expected a finite float32"
            )
    for position, (upper, lower) in enumerate(pairwise(scores)):
        if not lower < upper:
            raise RankingError(
                f"{where}: document {hits[position + 1].doc_id} has score {lower}, expected less"
                f" than the {upper} of {hits[position].doc_id} above it; see strictly_decreasing"
            )
    if len({hit.doc_id for hit in hits}) != len(hits):
        raise RankingError(f"{where}: a document occurs twice")
    return "".join(
        f"{query_id} Q0 {hit.doc_id} {rank} {score!s} {tag}\n"
        for rank, (hit, score) in enumerate(zip(hits, scores, strict=True), start=1)
    )


def write_run(path: Path, ranked_lists: Iterable[RankedList], *, tag: str) -> None:
    """Write a whole run beside `path` and rename it into place, in the order of the lists.

    Raises:
        RankingError: as for `format_run`, or the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as stream:
            for ranked in ranked_lists:
                stream.write(format_run(ranked.query_id, ranked.hits, tag=tag).encode())
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise RankingError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _score(text: str, where: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    # Python reads 1_0 as 10; no other tool of the field does.
    if not math.isfinite(score) or "_" in text:
        raise RankingError(f"{where}: found score {shown(text)}, expected a finite number")
    return score


def _scores_by_rank(rows: _Rows) -> list[float]:
    scores = list(rows.scores.values())
    if -1 in rows.ranks:  # no rank, nothing to contradict
        return []
    order = sorted(range(len(scores)), key=rows.ranks.__getitem__)
    return [scores[line] for line in order]


def _run_file(queries: dict[str, _Rows]) -> RunFile:
    run: dict[str, RankedList] = {}
    reversed_queries: list[str] = []
    disagreeing: list[str] = []
    for query_id, rows in queries.items():
        run[query_id] = RankedList.from_scores(query_id, rows.scores)
        by_rank = _scores_by_rank(rows)
        falls = any(lower < upper for upper, lower in pairwise(by_rank))
        rises = any(lower > upper for upper, lower in pairwise(by_rank))
        if rises:
            (disagreeing if falls else reversed_queries).append(query_id)
    return RunFile(run, tuple(reversed_queries), tuple(disagreeing))
