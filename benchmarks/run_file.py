"""Make a TREC run file of a batch of topics, resumable."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from scisearch.benchmarks.probability_log import ProbabilityLog
from scisearch.index.progress import NoProgress, Progress, stage_of
from scisearch.index.stopwatch import Stopwatch
from scisearch.pipeline import SearchPipeline
from scisearch.retrieval.pools import Pools
from scisearch.retrieval.ranking import Query, RankedList
from scisearch.retrieval.results import STOPPED_EARLY, RerankEffort
from scisearch.retrieval.run_writer import RunWriter


@dataclass(frozen=True, slots=True)
class Effort:
    """How much the cross-encoder scored over several topics.

    `agreement` is the mean over the topics of which something is known, None where there is none.
    """

    scored: int
    candidates: int
    from_cache: int
    topics_stopped: dict[str, int]  # by each of STOPPED_EARLY
    agreement: float | None


@dataclass(frozen=True, slots=True)
class RunReport:
    """What `write_run_file` did."""

    path: Path
    mode: str
    n_topics: int
    n_continued: int  # topics taken over from an interrupted run
    n_without_hits: int  # of the topics searched now
    milliseconds: dict[str, float]  # wall time by stage, over the topics searched now
    notes: tuple[str, ...]
    reranking: Effort | None = None  # of the topics searched now; None: nothing was reranked


def write_run_file(
    pipeline: SearchPipeline,
    topics: Sequence[Query],
    path: Path,
    *,
    tag: str,
    filters: Sequence[str] = (),
    pools: Pools | None = None,
    batch: int = 32,
    progress: Progress | None = None,
    probabilities: Path | None = None,
) -> RunReport:
    """Search the topics and write their run; an interrupted one is continued.

    With `pools` each topic ranks the documents of its pool only. `probabilities` is where those of
    a calibrated cross-encoder go, for `read_probabilities`.

    Raises:
        RankingError: the run cannot be written.
    """
    watch, progress = Stopwatch(), progress or NoProgress()
    without_hits = 0
    efforts: list[RerankEffort] = []
    fingerprint = {**_fingerprint(pipeline, topics, filters, pools), "batch": batch}
    log = None
    if probabilities is not None:
        log = ProbabilityLog(probabilities, fingerprint=fingerprint)
    with RunWriter(path, tag=tag, fingerprint=fingerprint) as writer:
        done = set(writer.completed)
        with stage_of(progress, "topics", len(topics), unit="topics", done=len(done)):
            # The same batches also when continued: a score's last digits depend on its batch.
            for start in range(0, len(topics), batch):
                part = topics[start : start + batch]
                if all(topic.query_id in done for topic in part):
                    continue
                searched = _searched(
                    pipeline, part, log, filters=filters, pools=pools, watch=watch, efforts=efforts
                )
                new = [ranked for ranked in searched if ranked.query_id not in done]
                for ranked in new:
                    writer.write(ranked.query_id, ranked.hits)
                    without_hits += not ranked.hits
                # at once: after the first of 32 topics the speed would be told as a 32nd of it
                progress.advance(len(new))
    return RunReport(
        path=path,
        mode=pipeline.mode,
        n_topics=len(topics),
        n_continued=len(done),
        n_without_hits=without_hits,
        milliseconds=watch.milliseconds(),
        notes=pipeline.run_notes,
        reranking=_total(efforts),
    )


def _total(efforts: Sequence[RerankEffort]) -> Effort | None:
    if not efforts:
        return None
    known = [one.agreement for one in efforts if one.agreement is not None]
    return Effort(
        scored=sum(one.scored for one in efforts),
        candidates=sum(one.candidates for one in efforts),
        from_cache=sum(one.from_cache for one in efforts),
        topics_stopped={
            name: sum(one.stopped_by == name for one in efforts) for name in STOPPED_EARLY
        },
        agreement=fmean(known) if known else None,
    )


def _searched(
    pipeline: SearchPipeline,
    topics: Sequence[Query],
    log: ProbabilityLog | None,
    *,
    filters: Sequence[str],
    pools: Pools | None,
    watch: Stopwatch,
    efforts: list[RerankEffort],
) -> list[RankedList]:
    chances: dict[str, dict[str, float]] | None = None if log is None else {}
    lists = pipeline.run(
        topics,
        filters=filters,
        pools=pools,
        watch=watch,
        probabilities=chances,
        efforts=efforts,
    )
    if log is not None and chances is not None:
        log.write(chances)  # before the run is: no finished topic lacks them
    return lists


def _fingerprint(
    pipeline: SearchPipeline, topics: Sequence[Query], filters: Sequence[str], pools: Pools | None
) -> dict[str, object]:
    """Everything but the batch size that decides the bytes of the run."""
    digest = hashlib.sha256()
    for topic in topics:
        digest.update(f"{topic.query_id}\0{topic.text}\0".encode(errors="surrogatepass"))
    return {
        "index": pipeline.index.generation.manifest_sha256,
        "topics": digest.hexdigest(),
        "config": asdict(pipeline.config),
        "models": pipeline.model_digests(),
        "filters": list(filters),
        **({} if pools is None else {"pools": {q: sorted(ids) for q, ids in pools.items()}}),
    }
