"""Make a TREC run file of a batch of topics, resumable."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scisearch.index.progress import NoProgress, Progress, stage_of
from scisearch.index.stopwatch import Stopwatch
from scisearch.pipeline import SearchPipeline
from scisearch.retrieval.ranking import Query
from scisearch.retrieval.run_writer import RunWriter


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


def write_run_file(
    pipeline: SearchPipeline,
    topics: Sequence[Query],
    path: Path,
    *,
    tag: str,
    filters: Sequence[str] = (),
    batch: int = 32,
    progress: Progress | None = None,
) -> RunReport:
    """Search the topics and write their run; an interrupted one is continued.

    Raises:
        RankingError: the run cannot be written.
    """
    watch = Stopwatch()
    progress = progress or NoProgress()
    without_hits = 0
    fingerprint = _fingerprint(pipeline, topics, filters)
    with RunWriter(path, tag=tag, fingerprint=fingerprint) as writer:
        done = set(writer.completed)
        left = [topic for topic in topics if topic.query_id not in done]
        with stage_of(progress, "topics", len(topics), unit="topics", done=len(done)):
            for ranked in pipeline.run(left, filters=filters, batch=batch, watch=watch):
                writer.write(ranked.query_id, ranked.hits)
                without_hits += not ranked.hits
                progress.advance(1)
    return RunReport(
        path=path,
        mode=pipeline.mode,
        n_topics=len(topics),
        n_continued=len(done),
        n_without_hits=without_hits,
        milliseconds=watch.milliseconds(),
        notes=pipeline.notes,
    )


def _fingerprint(
    pipeline: SearchPipeline, topics: Sequence[Query], filters: Sequence[str]
) -> dict[str, object]:
    """Everything that decides the bytes of the run.

    The batch is in it through the topics: a continued run is cut into batches from another topic
    on, which moves dense scores by less than they are rounded to, so it is left out.
    """
    digest = hashlib.sha256()
    for topic in topics:
        digest.update(f"{topic.query_id}\0{topic.text}\0".encode(errors="surrogatepass"))
    return {
        "index": pipeline.index.generation.manifest_sha256,
        "topics": digest.hexdigest(),
        "config": asdict(pipeline.config),
        "models": pipeline.model_digests(),
        "filters": list(filters),
    }
