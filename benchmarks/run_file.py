"""Make a TREC run file of a batch of topics, resumable."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scisearch.index.progress import NoProgress, Progress, stage_of
from scisearch.index.stopwatch import Stopwatch
from scisearch.pipeline import SearchPipeline
from scisearch.retrieval.pools import Pools
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
    pools: Pools | None = None,
    batch: int = 32,
    progress: Progress | None = None,
) -> RunReport:
    """Search the topics and write their run; an interrupted one is continued.

    With `pools` each topic ranks the documents of its pool only.

    Raises:
        RankingError: the run cannot be written.
    """
    watch = Stopwatch()
    progress = progress or NoProgress()
    without_hits = 0
    fingerprint = {**_fingerprint(pipeline, topics, filters), "batch": batch}
    if pools is not None:
        fingerprint["pools"] = {query_id: sorted(ids) for query_id, ids in pools.items()}
    with RunWriter(path, tag=tag, fingerprint=fingerprint) as writer:
        done = set(writer.completed)
        with stage_of(progress, "topics", len(topics), unit="topics", done=len(done)):
            # The same batches also when continued: a score's last digits depend on its batch.
            for start in range(0, len(topics), batch):
                part = topics[start : start + batch]
                if all(topic.query_id in done for topic in part):
                    continue
                for ranked in pipeline.run(part, filters=filters, pools=pools, watch=watch):
                    if ranked.query_id not in done:
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
    }
