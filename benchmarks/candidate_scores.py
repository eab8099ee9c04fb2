"""The cross-encoder's logits of a collection's candidates: each pair is scored once, ever.

They are kept in a file beside the index, so that an interrupted scoring goes on where it stopped
and trying other settings later costs no model time.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.resumed_lines import taken_up
from scisearch.index.errors import ConfigError
from scisearch.index.progress import Progress, stage_of
from scisearch.rerank.stage import RerankStage
from scisearch.retrieval.ranking import Ordinals, Query

Logits = NDArray[np.float32]
Work = tuple[Query, Ordinals]  # a query and the candidates to score
_TOGETHER = 8  # queries: enough pairs to fill batches, few enough to see progress


def score_once(
    reranker: RerankStage,
    work: Sequence[Work],
    *,
    progress: Progress,
    done: int = 0,
) -> Iterator[tuple[Query, Ordinals, Logits]]:
    """The logits of each query's candidates, (n_candidates,) in their order, as they are ready.

    `done` is how many queries were scored before, for the progress.
    """
    with stage_of(progress, "cross-encoder", done + len(work), unit="queries", done=done):
        for begin in range(0, len(work), _TOGETHER):
            queries, candidates = zip(*work[begin : begin + _TOGETHER], strict=True)
            logits = reranker.logits([query.text for query in queries], candidates)
            yield from zip(queries, candidates, logits, strict=True)
            progress.advance(len(queries))


class ScoreFile:
    """The logits known so far, by query_id and ordinal, and their file."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        """Take up the file if it is of the same index, queries and model; else begin anew.

        Raises:
            ConfigError: it cannot be written.
        """
        self._path = path
        self._known: dict[str, dict[int, float]] = {}
        for line in taken_up(path, fingerprint):
            known = self._known.setdefault(line["query_id"], {})
            known.update(zip(line["ordinals"], line["logits"], strict=True))

    def missing(self, query_id: str, ordinals: Ordinals) -> Ordinals:
        """Those of the ordinals that have no logit yet."""
        known: Mapping[int, float] = self._known.get(query_id, {})
        return np.array([o for o in ordinals.tolist() if o not in known], np.int64)

    def logits(self, query_id: str, ordinals: Ordinals) -> Logits:
        """The logits of ordinals that are all known, (n,) float32."""
        known = self._known.get(query_id, {})
        return np.array([known[ordinal] for ordinal in ordinals.tolist()], np.float32)

    def score(self, reranker: RerankStage, work: Sequence[Work], *, progress: Progress) -> None:
        """Score what is missing, and write each query down.

        Raises:
            ConfigError: the file cannot be written.
        """
        missing = [(query, self.missing(query.query_id, ordinals)) for query, ordinals in work]
        missing = [(query, absent) for query, absent in missing if len(absent)]
        done = len(work) - len(missing)
        for query, ordinals, logits in score_once(reranker, missing, progress=progress, done=done):
            known = self._known.setdefault(query.query_id, {})
            known.update(zip(ordinals.tolist(), logits.tolist(), strict=True))
            line = {"query_id": query.query_id, "ordinals": ordinals.tolist()}
            self._write(json.dumps({**line, "logits": logits.tolist()}) + "\n")

    def _write(self, line: str) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line)
        except OSError as error:
            raise ConfigError(
                f"{self._path}: cannot be written ({error.strerror}); free the disk"
            ) from error
