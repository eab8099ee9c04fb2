"""A benchmark at work: latency, run files and cold starts, each measured once and remembered.

What an interrupted benchmark had measured is in OUT/work.json, OUT/latency.jsonl.partial and
OUT/runs/; the next one of the same request goes on from there.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from scisearch.benchmarks.benchmark_request import BenchmarkRequest
from scisearch.benchmarks.card import digest_of
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.environment import cold_start, versions
from scisearch.benchmarks.latency import latency_queries, latency_summary, sample_latencies
from scisearch.benchmarks.protocol import Protocol
from scisearch.benchmarks.run_file import write_run_file
from scisearch.benchmarks.systems import at_cutoff, model_digests
from scisearch.index.durable import replace_file
from scisearch.index.manifest import file_sha256
from scisearch.index.opened import OpenIndex
from scisearch.index.progress import Progress
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.search_config import Mode
from scisearch.retrieval.ranking import Run
from scisearch.retrieval.trec import read_run

DEEP = 1000  # how far down the first stages are looked through for what was missed
_SHOWN_HITS = 10  # of a search whose latency is measured
_LEAST_CUTOFF = 100  # of a run file: R@100 is among the measures
_BATCH = 32
_FIRST_STAGES = ("bm25", "dense")


class Measurement:
    """All systems of one request over one open index, with their models loaded."""

    def __init__(
        self,
        request: BenchmarkRequest,
        collection: Collection,
        index: OpenIndex,
        systems: Mapping[Mode, SearchPipeline],
        progress: Progress,
    ) -> None:
        """Load the models, and take up what an interrupted benchmark has measured."""
        self._request = request
        self._collection = collection
        self._index = index
        for pipeline in systems.values():
            pipeline.warm_up()  # before any copy of it, which shares the models
        self._systems: dict[str, SearchPipeline] = {
            mode: at_cutoff(one, _SHOWN_HITS) for mode, one in systems.items()
        }
        self.models = model_digests(systems)
        self._progress = progress
        self.digests = self._input_digests()
        self._fingerprint = digest_of([request.to_json(), self.digests, self.models, versions()])
        self._work = request.out / "work.json"
        self._done: dict[str, Any] = self._taken_up()
        self.hits_left_out: dict[str, int] = {}  # by run file, as the collection's protocol says

    def latency(self) -> dict[str, dict[str, Any]]:
        """System -> the percentiles of one query at a time."""
        queries = latency_queries(self._collection.queries, self._request.latency_queries)
        samples = sample_latencies(
            self._systems,
            queries,
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
            if name in _FIRST_STAGES
        }

    def batches(self) -> dict[str, Any]:
        """System -> the file, speed and stage times of its run."""
        return {name: self._done[f"runs/{name}.run"] for name in self._systems}

    @property
    def cutoff(self) -> int:
        """How many hits of a query the run files have, at most."""
        return max(_LEAST_CUTOFF, self._request.search.rerank_depth)

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
            )
            seconds, n = perf_counter() - begin, report.n_topics - report.n_continued
            self._done[key] = {
                "file": key,
                "sha256": file_sha256(path),
                "batch": _BATCH,
                "queries_per_second": n / seconds,
                "pairs_per_second": self._pairs_per_second(name, n, report.milliseconds),
                "milliseconds_per_query": {
                    stage: ms / n for stage, ms in report.milliseconds.items()
                },
            }
            self._remember()
        run, left_out = self._collection.protocol.applied(read_run(path), cutoff)
        self.hits_left_out[key] = left_out
        return run

    def _pairs_per_second(
        self, name: str, n: int, milliseconds: Mapping[str, float]
    ) -> float | None:
        """Upper bound where a query had fewer candidates than the reranking depth."""
        spent = milliseconds.get("cross-encoder", 0.0)
        if name != "rerank" or not spent:
            return None
        return n * min(self._request.search.rerank_depth, len(self._index.documents)) / spent * 1e3

    def _query_command(self, name: str) -> list[str]:
        search = self._request.search
        # a command line holds neither lone surrogates nor NUL
        text = self._collection.queries[0].text.encode(errors="replace").decode().replace("\0", " ")
        command = ["query", "--index", str(self._index.path), "--mode", name, "--json"]
        for option in ("encoder", "reranker", "device", "runtime"):
            value = getattr(search, option)
            command += [f"--{option}", value] if value is not None else []
        # after --: a query may begin with a dash
        return [*command, *(["--offline"] if search.offline else []), "--", text]

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
