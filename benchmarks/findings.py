"""What a reader of the numbers must know besides them, as data in plain words."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from scisearch.benchmarks.id_mismatch import likely_cause
from scisearch.benchmarks.ties import ndcg_interval, tied_hits
from scisearch.index.errors import RankingError
from scisearch.retrieval.ranking import Qrels, Run
from scisearch.retrieval.trec import RunFile

Severity = Literal["note", "warning"]
_SHOWN_IDS = 3
_TIE_CUTOFF = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence on a run or its judgements; a warning says that the numbers may mislead."""

    severity: Severity
    message: str

    def to_json(self) -> dict[str, str]:
        """The finding as JSON values."""
        return {"severity": self.severity, "message": self.message}


def examples(ids: Iterable[str]) -> str:
    """The first three ids, for a message."""
    listed = list(islice(ids, _SHOWN_IDS + 1))
    return (", ".join(listed[:_SHOWN_IDS]) or "none") + (
        ", ..." if len(listed) > _SHOWN_IDS else ""
    )


def answerable(qrels: Qrels) -> dict[str, Mapping[str, int]]:
    """The judgements of the queries that have at least one positive one.

    Raises:
        RankingError: there is none.
    """
    chosen = {
        query_id: gains for query_id, gains in qrels.items() if any(g > 0 for g in gains.values())
    }
    if not chosen:
        raise RankingError(
            f"judgements: found no positive gain in {len(qrels)} queries, expected at least one;"
            " every measure would be 0"
        )
    return chosen


def query_findings(run: Run, qrels: Qrels, name: str) -> Iterator[Finding]:
    """Queries that only one side has, and those that nothing can answer.

    Raises:
        RankingError: run and judgements have no query in common.
    """
    positive = answerable(qrels)
    if not any(query_id in positive for query_id in run):
        raise RankingError(
            f"{name}: no query of the run has a positive judgement: the run has {examples(run)},"
            f" the judgements have {examples(positive)}; {likely_cause(run, positive)}"
        )
    empty = [query_id for query_id in qrels if query_id not in positive]
    if empty:
        yield Finding(
            "warning",
            f"{len(empty)} of {len(qrels)} judged queries have no positive judgement and are left"
            f" out of every mean ({examples(empty)}); trec_eval -c counts them as 0",
        )
    unjudged = [query_id for query_id in run if query_id not in qrels]
    if unjudged:
        yield Finding(
            "note",
            f"{len(unjudged)} of {len(run)} queries of the run have no judgements and are left out"
            f" ({examples(unjudged)})",
        )
    missing = [q for q in positive if q not in run or not run[q].hits]
    if missing:
        yield Finding(
            "warning",
            f"{len(missing)} judged queries have no hit in the run and count as 0"
            f" ({examples(missing)})",
        )


def check_documents(run: Run, qrels: Qrels, name: str) -> None:
    """Pass if any document of the run is judged at all, for whatever query.

    Raises:
        RankingError: none is, so that every measure would be 0.
    """
    judged = {doc_id: None for gains in qrels.values() for doc_id in gains}
    retrieved = {
        hit.doc_id: None for query_id in qrels if query_id in run for hit in run[query_id].hits
    }
    if not any(doc_id in judged for doc_id in retrieved):
        raise RankingError(
            f"{name}: no document of the run is judged, every measure would be 0: the run has"
            f" {examples(retrieved)}, the judgements have {examples(judged)};"
            f" {likely_cause(retrieved, judged)}"
        )


def tie_findings(run: Run, qrels: Qrels) -> Iterator[Finding]:
    """Ties inside the lists, and how far they could move nDCG@10."""
    tied = {q: n for q in qrels if q in run and (n := tied_hits(run[q].hits))}
    if not tied:
        return
    worst, best = ndcg_interval(run, qrels, cutoff=_TIE_CUTOFF)
    yield Finding(
        "warning" if best - worst >= 0.00005 else "note",
        f"{sum(tied.values())} hits of {len(tied)} queries share their score with another; they are"
        f" taken in rising doc_id, and any order of ties keeps nDCG@{_TIE_CUTOFF} between"
        f" {worst:.4f} and {best:.4f}",
    )


def depth_findings(run: Run, qrels: Qrels, cutoffs: Mapping[str, int]) -> Iterator[Finding]:
    """Measures that look deeper than the run goes; `cutoffs` is measure name -> cutoff."""
    lengths = [len(run[query_id].hits) for query_id in qrels if query_id in run]
    if not cutoffs or not lengths:
        return
    name = max(cutoffs, key=lambda measure: cutoffs[measure])
    short = sum(length < cutoffs[name] for length in lengths)
    if not short:
        return
    deepest = max(lengths)
    # Lists that all end at one length were cut there; lists of many lengths found no more.
    was_cut = deepest < cutoffs[name] and 2 * lengths.count(deepest) > len(lengths)
    yield Finding(
        "warning" if was_cut else "note",
        f"{short} of {len(lengths)} queries have fewer than the {cutoffs[name]} hits that {name}"
        f" looks at" + (f": the run was cut at {deepest}" if was_cut else ""),
    )


def rank_findings(file: RunFile) -> Iterator[Finding]:
    """What the rank column of a run file says against its scores."""
    if file.reversed_queries:
        yield Finding(
            "warning",
            f"scores rise with the rank in {len(file.reversed_queries)} of {len(file.run)} queries"
            f" ({examples(file.reversed_queries)}); scores decide, and higher is better: are these"
            " distances?",
        )
    if file.disagreeing_queries:
        yield Finding(
            "note",
            f"ranks and scores give different orders in {len(file.disagreeing_queries)} queries"
            f" ({examples(file.disagreeing_queries)}); scores decide",
        )
