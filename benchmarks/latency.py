"""How long one query takes, stage by stage: systems in turn over the same queries.

Every sample is written down at once, so that an interrupted benchmark goes on where it stopped.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from scisearch.benchmarks.resumed_lines import taken_up
from scisearch.index.errors import ConfigError
from scisearch.index.progress import Progress, stage_of
from scisearch.pipeline import SearchPipeline
from scisearch.retrieval.ranking import Query

_WARM_UP_QUERIES = 3
_PERCENTILES = (5, 50, 95, 99)


@dataclass(frozen=True, slots=True)
class Sample:
    """One query searched once by one system; times in milliseconds."""

    query_id: str
    system: str
    total: float  # wall time of the whole search, hits and snippets included
    stages: Mapping[str, float]


def spread_queries(queries: Sequence[Query], count: int) -> list[Query]:
    """At most `count` queries, evenly spread over all."""
    if count >= len(queries):
        return list(queries)
    places = np.unique(np.linspace(0, len(queries) - 1, count).astype(int))
    return [queries[place] for place in places.tolist()]


def sample_latencies(
    systems: Mapping[str, SearchPipeline],
    queries: Sequence[Query],
    path: Path,
    *,
    fingerprint: str,
    progress: Progress,
) -> list[Sample]:
    """Every query by every system, one at a time, in the order in which they were measured.

    The systems take turns at each query and change who is first, so that a slow minute of the
    machine slows all of them. Models are loaded and each system has searched before the first
    sample.

    Args:
        systems: by name.
        queries: what is searched.
        path: a line for each sample; one with the same fingerprint is continued.
        fingerprint: of all that decides what is measured.
        progress: told how far it is.

    Raises:
        ConfigError: the file cannot be written.
    """
    samples = [Sample(**one) for one in taken_up(path, fingerprint)]
    done = {(sample.query_id, sample.system) for sample in samples}
    missing = [(q, name) for q, name in _turns(queries, list(systems)) if (q[0], name) not in done]
    if not missing:
        return samples
    for pipeline in systems.values():
        pipeline.warm_up()
        for query in queries[:_WARM_UP_QUERIES]:
            pipeline.search(query.text)
    total = len(samples) + len(missing)
    try:
        with (
            path.open("a", encoding="utf-8") as stream,
            stage_of(progress, "latency", total, unit="queries", done=len(samples)),
        ):
            for (query_id, text), name in missing:
                sample = _measured(systems[name], query_id, text, name)
                stream.write(json.dumps(asdict(sample)) + "\n")
                stream.flush()
                samples.append(sample)
                progress.advance(1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); free the disk") from error
    return samples


def latency_summary(samples: Iterable[Sample]) -> dict[str, dict[str, Any]]:
    """System -> number of samples, and of the total and each stage mean, p5, p50, p95, p99 in ms.

    Percentiles are interpolated linearly. A stage that a query skipped counts as 0 for it.
    """
    by_system: dict[str, list[Sample]] = {}
    for sample in samples:
        by_system.setdefault(sample.system, []).append(sample)
    return {
        name: {
            "n": len(of),
            "total": _percentiles([sample.total for sample in of]),
            "stages": {
                stage: _percentiles([sample.stages.get(stage, 0.0) for sample in of])
                for stage in dict.fromkeys(stage for sample in of for stage in sample.stages)
            },
        }
        for name, of in by_system.items()
    }


def _turns(queries: Sequence[Query], names: Sequence[str]) -> Iterator[tuple[tuple[str, str], str]]:
    for number, query in enumerate(queries):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            yield (query.query_id, query.text), name


def _measured(pipeline: SearchPipeline, query_id: str, text: str, name: str) -> Sample:
    begin = perf_counter_ns()
    result = pipeline.search(text, query_id=query_id)
    total = (perf_counter_ns() - begin) / 1e6
    stages = {stage: ms for stage, ms in result.milliseconds.items() if stage != "load"}
    return Sample(query_id, name, total, stages)


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    found = np.percentile(values, _PERCENTILES).tolist()
    named = {f"p{p}": value for p, value in zip(_PERCENTILES, found, strict=True)}
    return {"mean": float(np.mean(values)), **named}
