"""What a build has finished so far, so that a killed one continues instead of starting again."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from scisearch.index.durable import replace_file

_STATE_NAME = "state.json"


class BuildState:
    """The finished stages of one build, kept in its work folder.

    A stage counts only once `finish` has recorded it. The fingerprint says what is being built
    from what; a work folder with another fingerprint is of no use and is emptied.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Continue the work in `folder` if it has this fingerprint, else start afresh."""
        self._path = folder / _STATE_NAME
        found = _read(self._path, fingerprint)
        self.continued = found is not None
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self._results: dict[str, dict[str, object]] = found or {}
        self._fingerprint = fingerprint
        self._write()

    def result(self, stage: str) -> Mapping[str, object] | None:
        """What a finished stage left behind; None where it is not finished."""
        return self._results.get(stage)

    def finish(self, stage: str, result: Mapping[str, object]) -> None:
        """Record that a stage is finished, with what later stages need to know of it."""
        self._results[stage] = dict(result)
        self._write()

    def _write(self) -> None:
        content = {"fingerprint": self._fingerprint, "stages": self._results}
        replace_file(self._path, json.dumps(content).encode())


def _read(path: Path, fingerprint: str) -> dict[str, dict[str, object]] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):  # no work, or a file that a power cut damaged
        return None
    if content.get("fingerprint") != fingerprint:
        return None
    stages = content["stages"]
    return stages if isinstance(stages, dict) else None
