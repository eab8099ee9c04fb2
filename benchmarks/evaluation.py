"""What `search evaluate` asks of files: runs and judgements in, a comparison out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scisearch.benchmarks.comparison import Comparison, compare, compare_evaluations
from scisearch.benchmarks.findings import Finding, rank_findings
from scisearch.benchmarks.measures import DEFAULT_MEASURES
from scisearch.benchmarks.scoring import DocIds, Evaluation, evaluate
from scisearch.retrieval.qrels import Pairs, read_pairs, read_qrels
from scisearch.retrieval.ranking import Qrels, RankedList, Run
from scisearch.retrieval.trec import read_run_file

__all__ = ["Comparison", "Evaluation", "compare", "evaluate", "evaluate_files"]


def evaluate_files(
    run_paths: Sequence[Path],
    qrels_path: Path,
    *,
    measures: Sequence[str] = (),
    index: Path | None = None,
    index_doc_ids: DocIds | None = None,
    ignore: Path | None = None,
) -> Comparison:
    """The runs of these files against the first, on the judgements of `qrels_path`.

    Args:
        run_paths: TREC run files; a run is called by its file name without .run, .txt and .gz.
        qrels_path: TREC or BEIR judgements.
        measures: names that ir_measures knows; none means nDCG@10, P@10, RR@10, AP and R@100.
        index: an index whose document ids the runs and judgements are checked against.
        index_doc_ids: the same, given as a set or a test.
        ignore: a file of 'query_id doc_id' lines, left out of the runs and of the judgements.

    Raises:
        RankingError: a malformed file, or runs and judgements that do not meet.
        ConfigError: a bad measure.
    """
    qrels = read_qrels(qrels_path)
    pairs = read_pairs(ignore) if ignore is not None else {}
    judged = without_judged_pairs(qrels, pairs)
    doc_ids = index_doc_ids if index is None else _ids_of_index(index)
    evaluations: dict[str, Evaluation] = {}
    for name, path in _run_names(run_paths).items():
        file = read_run_file(path)
        run, left_out = without_pairs(file.run, pairs)
        found = evaluate(
            run, judged, measures or DEFAULT_MEASURES, index_doc_ids=doc_ids, name=str(path)
        )
        more = [*_ignore_findings(ignore, left_out, qrels, judged), *rank_findings(file)]
        evaluations[name] = replace(found, findings=(*more, *found.findings))
    return compare_evaluations(evaluations)


def without_pairs(run: Run, pairs: Pairs) -> tuple[dict[str, RankedList], int]:
    """The run without these documents of these queries, and how many hits that took away."""
    kept = dict(run)
    for query_id, ranked in run.items():
        dropped = pairs.get(query_id)
        if dropped:
            hits = tuple(hit for hit in ranked.hits if hit.doc_id not in dropped)
            kept[query_id] = RankedList(query_id, hits)
    before = sum(len(ranked.hits) for ranked in run.values())
    return kept, before - sum(len(ranked.hits) for ranked in kept.values())


def without_judged_pairs(qrels: Qrels, pairs: Pairs) -> Qrels:
    """The judgements without these pairs: what no run may return, none can be asked to find."""
    return {
        query_id: {d: g for d, g in gains.items() if d not in pairs.get(query_id, frozenset())}
        for query_id, gains in qrels.items()
    }


def _ignore_findings(
    ignore: Path | None, left_out: int, qrels: Qrels, judged: Qrels
) -> list[Finding]:
    if ignore is None:
        return []
    unjudged = sum(len(gains) for gains in qrels.values()) - sum(map(len, judged.values()))
    return [
        Finding(
            "note" if left_out else "warning",
            f"{left_out} hits and {unjudged} judgements are left out as {ignore} says",
        )
    ]


def _ids_of_index(index: Path) -> DocIds:
    from scisearch.index.opened import open_index

    documents = open_index(index).documents
    return lambda doc_id: documents.ordinal(doc_id) is not None


def _run_names(paths: Sequence[Path]) -> Mapping[str, Path]:
    """Short names where they tell the files apart, whole paths where they do not."""
    unique = {str(path): Path(path) for path in paths}
    short = {key: _short_name(path) for key, path in unique.items()}
    clear = len(set(short.values())) == len(short)
    return {short[key] if clear else key: path for key, path in unique.items()}


def _short_name(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return name.removesuffix(".run").removesuffix(".txt") or path.name
