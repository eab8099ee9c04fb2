"""A file of JSON lines that an interrupted measurement goes on with, below its fingerprint."""

import json
from pathlib import Path
from typing import Any

from scisearch.index.errors import ConfigError


def taken_up(path: Path, fingerprint: str) -> list[dict[str, Any]]:
    """The lines of an interrupted measurement, without a torn last one; else a fresh file.

    Raises:
        ConfigError: the file cannot be written.
    """
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    head = json.dumps({"fingerprint": fingerprint}).encode() + b"\n"
    kept = [line for line in lines[1:] if line.endswith(b"\n")] if lines[:1] == [head] else []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join([head, *kept]))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror}); name another folder"
        ) from error
    return [json.loads(line) for line in kept]
