"""Where this machine keeps what can be made again: digests, ONNX forms, scores, whole weights."""

import os
from pathlib import Path

CACHE_VARIABLE = "SCISEARCH_CACHE"


def cache_folder() -> Path:
    """SCISEARCH_CACHE, else XDG_CACHE_HOME/scisearch, else ~/.cache/scisearch; may not exist."""
    own, base = os.environ.get(CACHE_VARIABLE, ""), os.environ.get("XDG_CACHE_HOME", "")
    if own:
        return Path(own)
    return (Path(base) if base else Path("~/.cache").expanduser()) / "scisearch"
