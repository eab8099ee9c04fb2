"""A benchmark at work: latency, run files and cold starts, each measured once and remembered.

What an interrupted benchmark had measured is in OUT/work.json, OUT/latency.jsonl.partial and
OUT/runs/; the next one of the same request goes on from there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from scisearch.benchmarks.benchmark_request import BenchmarkRequest
from scisearch.benchmarks.card import digest_of
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.environment import cold_start, memory, reset_peak_memory, versions
from scisearch.benchmarks.latency import latency_summary, sample_latencies, spread_queries
from scisearch.benchmarks.probability_log import read_probabilities
from scisearch.benchmarks.protocol import Protocol
from scisearch.benchmarks.reranker_report import (
    score_reliability,
    scored_documents,
    truncation_loss,
)
from scisearch.benchmarks.run_file import RunReport, write_run_file
from scisearch.benchmarks.system_names import FIRST_STAGES, RERANKED, System
from scisearch.benchmarks.systems import at_cutoff, model_digests
from scisearch.index.durable import replace_file
from scisearch.index.manifest import file_sha256
from scisearch.index.opened import OpenIndex
from scisearch.index.progress import Progress
from scisearch.pipeline import SearchPipeline
from scisearch.retrieval.ranking import Query, Run
from scisearch.retrieval.trec import read_run

DEEP = 1000  # how far down the first stages are looked through for what was missed
_SHOWN_HITS = 10  # of a search whose latency is measured
_LEAST_CUTOFF = 100  # of a run file: R@100 is among the measures
_BATCH = 32


class Measurement:
    """All systems of one request over one open index, with their models loaded."""

    def __init__(
        self,
        request: BenchmarkRequest,
        collection: Collection,
        index: OpenIndex,
        systems: Mapping[System, SearchPipeline],
        progress: Progress,
    ) -> None:
        """Load the models, and take up what an interrupted benchmark has measured."""
        self._request = request
        self._collection = collection
        self._index = index
        for pipeline in systems.values():
            pipeline.warm_up()  # before any copy of it, which shares the models
        self._systems: dict[str, SearchPipeline] = {
            name: at_cutoff(one, _SHOWN_HITS) for name, one in systems.items()
        }
        self.models = model_digests(systems)
        self._progress = progress
        self.digests = self._input_digests()
        # A peer more or less is no reason to measure our own systems again.
        asked = {what: value for what, value in request.to_json().items() if what != "peers"}
        self._fingerprint = digest_of([asked, self.digests, self.models, versions()])
        self._work = request.out / "work.json"
        self._done: dict[str, Any] = self._taken_up()
        self.hits_left_out: dict[str, int] = {}  # by run file, as the collection's protocol says
        self._since = reset_peak_memory()  # neither a build nor the evaluation counts

    @property
    def timed_queries(self) -> list[Query]:
        """The queries that are searched one at a time."""
        return spread_queries(self._collection.queries, self._request.latency_queries)

    def latency(self) -> dict[str, dict[str, Any]]:
        """System -> the percentiles of one query at a time."""
        samples = sample_latencies(
            self._systems,
            self.timed_queries,
            self._samples,
            fingerprint=self._fingerprint,
            progress=self._progress,
        )
        return latency_summary(samples)

    def runs(self) -> dict[str, Run]:
        """System -> its run as it is judged, with the hits that the measures look at."""
        return {name: self._run(name, self.cutoff, "runs") for name in self._systems}

    def deep_runs(self) -> dict[str, Run]:
        """The runs of the first stages alone, DEEP hits for each query."""
        return {
            name: self._run(name, DEEP, "runs/deep")
            for name in self._systems
            if name in FIRST_STAGES
        }

    def batches(self) -> dict[str, Any]:
        """System -> the file, speed and stage times of its run."""
        return {name: self._done[f"runs/{name}.run"] for name in self._systems}

    @property
    def cutoff(self) -> int:
        """How many hits of a query the run files have, at most."""
        return max(_LEAST_CUTOFF, self._request.search.rerank_depth)

    def memory(self) -> dict[str, Any]:
        """Memory of this process, all systems loaded: the most of it and of interrupted ones."""
        now = asdict(memory(self._since))
        before = self._done.get("memory", {})
        for name in ("peak_rss", "vram_allocated", "vram_reserved"):
            found = [one[name] for one in (now, before) if one.get(name) is not None]
            now[name] = max(found, default=None)
        self._done["memory"] = now
        self._remember()
        return now

    def pairs_per_second(self, name: str, latency: Mapping[str, Any]) -> float | None:
        """Of the cross-encoder, one query at a time; None for a system without one.

        None also with pools: the queries whose time is measured search all documents.
        """
        spent = latency["stages"].get("cross-encoder", {}).get("mean", 0.0) * latency["n"]
        if not spent or self._collection.pools is not None:
            return None
        scored = self._pairs(name, self.timed_queries) * self._scored_share(name)
        return scored / float(spent) * 1e3

    def truncation(self) -> dict[str, Any] | None:
        """What the cross-encoder could not read; None without one."""
        name = next((one for one in reversed(RERANKED) if one in self._systems), None)
        if name is None:
            return None
        queries, qrels = self._collection.queries, self._collection.qrels
        run = self._as_searched(name)
        return truncation_loss(self._systems[name], queries, run, qrels)

    def reliability(self, name: str) -> dict[str, Any] | None:
        """Whether probabilities of relevance are right; None for a system without them."""
        path = self._probabilities(name)
        if path is None:
            return None
        judged = self._collection.protocol.judged(read_probabilities(path))
        return score_reliability(judged, self._collection.qrels)

    def cold_start(self, name: str) -> dict[str, object] | None:
        """Time and memory of a fresh `search query`; None where nobody wants to wait for it."""
        if not self._request.cold_starts:
            return None
        key = f"cold start {name}"
        if key not in self._done:
            self._done[key] = cold_start(self._query_command(name))
            self._remember()
        found: dict[str, object] = self._done[key]
        return found

    def known(self, key: str) -> Any:
        """What was remembered under this name, None for nothing."""
        return self._done.get(key)

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON value for a benchmark that goes on after an interruption."""
        self._done[key] = value
        self._remember()

    def forget_work(self) -> None:
        """After the card, the next benchmark of this folder measures anew."""
        self._work.unlink(missing_ok=True)
        self._samples.replace(self._samples.with_name("latency.jsonl"))

    def _run(self, name: str, cutoff: int, folder: str) -> Run:
        """The run of one system, read from its file, which is written unless it is there."""
        key = f"{folder}/{name}.run"
        path = self._request.out / key
        known = self._done.get(key)
        if not (known and path.is_file() and file_sha256(path) == known["sha256"]):
            path.parent.mkdir(parents=True, exist_ok=True)
            asked = self._collection.protocol.asked_for(cutoff)
            pipeline = at_cutoff(self._systems[name], asked)
            begin = perf_counter()
            report = write_run_file(
                pipeline,
                self._collection.queries,
                path,
                tag=name,
                pools=self._collection.pools,
                batch=_BATCH,
                progress=self._progress,
                probabilities=self._probabilities(name),
            )
            seconds = perf_counter() - begin
            # a batch that was interrupted is searched again as a whole
            done = report.n_continued // _BATCH * _BATCH
            searched = self._collection.queries[done:] if report.milliseconds else ()
            n = len(searched)
            self._done[key] = {
                "file": key,
                "sha256": file_sha256(path),
                "batch": _BATCH,
                "queries_per_second": n / seconds,
                "pairs_per_second": _pairs_per_second(report),
                "reranking": None if report.reranking is None else asdict(report.reranking),
                "milliseconds_per_query": {
                    stage: ms / n for stage, ms in report.milliseconds.items()
                },
            }
            self._remember()
        run, left_out = self._collection.protocol.applied(read_run(path), cutoff)
        self.hits_left_out[key] = left_out
        return run

    def _as_searched(self, name: str) -> Run:
        """A system's run before the protocol leaves anything out."""
        return read_run(self._request.out / f"runs/{name}.run")

    def _pairs(self, name: str, queries: Sequence[Query]) -> int:
        """How many pairs the cross-encoder of a system may score for these queries."""
        depth = self._request.search.rerank_depth
        return sum(map(len, scored_documents(self._as_searched(name), queries, depth).values()))

    def _scored_share(self, name: str) -> float:
        """The share of its candidates that a system scored in its run; 1 where that is all."""
        found = self._done.get(f"runs/{name}.run", {}).get("reranking")
        if not found or not found["candidates"]:
            return 1.0
        return float(found["scored"] / found["candidates"])

    def _probabilities(self, name: str) -> Path | None:
        """Where those of a system are; None for one that has none."""
        pipeline = self._systems[name]
        if pipeline.mode != "rerank" or pipeline.rerank_stage.calibration is None:
            return None
        return self._request.out / f"runs/{name}.probabilities.jsonl"

    def _query_command(self, name: str) -> list[str]:
        pipeline = self._systems[name]
        # a command line holds neither lone surrogates nor NUL
        text = self._collection.queries[0].text.encode(errors="replace").decode().replace("\0", " ")
        command = ["query", "--index", str(self._index.path), "--mode", pipeline.mode, "--json"]
        for option in ("encoder", "reranker", "rerank", "device", "runtime"):
            value = getattr(pipeline.config, option)
            command += [f"--{option}", value] if value is not None else []
        # after --: a query may begin with a dash
        return [*command, *(["--offline"] if pipeline.config.offline else []), "--", text]

    def _input_digests(self) -> dict[str, object]:
        pairs = [[query.query_id, query.text] for query in self._collection.queries]
        return {
            "corpus": self._index.manifest.corpus.get("sha256"),
            "queries": digest_of(pairs),
            "qrels": digest_of(self._collection.qrels),
            **self._protocol_digest(),
            "index": self._index.generation.manifest_sha256,
        }

    def _protocol_digest(self) -> dict[str, object]:
        protocol = self._collection.protocol
        return {} if protocol == Protocol() else {"protocol": digest_of(protocol.to_json())}

    @property
    def _samples(self) -> Path:
        return self._request.out / "latency.jsonl.partial"

    def _taken_up(self) -> dict[str, Any]:
        try:
            known = json.loads(self._work.read_bytes())
        except (OSError, ValueError):
            return {}
        found: dict[str, Any] = known.get("done", {})
        return found if known.get("fingerprint") == self._fingerprint else {}

    def _remember(self) -> None:
        content = {"fingerprint": self._fingerprint, "done": self._done}
        replace_file(self._work, json.dumps(content).encode())


def _pairs_per_second(report: RunReport) -> float | None:
    spent = report.milliseconds.get("cross-encoder", 0.0)
    if report.reranking is None or not spent:
        return None
    return report.reranking.scored / spent * 1e3
