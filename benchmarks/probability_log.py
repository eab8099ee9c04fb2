"""Probabilities of relevance beside a run file: a line a query, so that a kill loses none."""

import json
from collections.abc import Mapping
from pathlib import Path

from scisearch.index.errors import RankingError


class ProbabilityLog:
    """Appends query_id -> doc_id -> probability; goes on where one of the same work stopped."""

    def __init__(self, path: Path, *, fingerprint: Mapping[str, object]) -> None:
        """Take up what is at `path` if it is of the same work, else start anew.

        Raises:
            RankingError: the file cannot be written.
        """
        self._path = path
        head = json.dumps({"fingerprint": fingerprint}, sort_keys=True).encode() + b"\n"
        try:
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
            same = lines[:1] == [head]
            kept = [line for line in lines[1:] if line.endswith(b"\n")] if same else []
            path.write_bytes(b"".join([head, *kept]))
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, probabilities: Mapping[str, Mapping[str, float]]) -> None:
        """Append some queries; of one that is there twice the last counts.

        Raises:
            RankingError: the disk does not take them.
        """
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                for query_id, of in probabilities.items():
                    stream.write(json.dumps([query_id, of]) + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> RankingError:
        return RankingError(
            f"{self._path}: cannot be written ({error.strerror}); free the disk, or name another"
            " folder"
        )


def read_probabilities(path: Path) -> dict[str, dict[str, float]]:
    """What a log holds: query_id -> doc_id -> probability; nothing where there is no log."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return dict(json.loads(line) for line in lines)
