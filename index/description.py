"""What `search info` tells of an index."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from scisearch.index.builder import LAST_BUILD_NAME
from scisearch.index.errors import ModelError
from scisearch.index.models import DEFAULT_CROSS_ENCODER, STATIC_ENCODER, Kind, resolve_model
from scisearch.index.opened import OpenIndex
from scisearch.index.runtimes import told


def describe(index: OpenIndex) -> dict[str, object]:
    """The manifest, the sizes, and the times of the last build, as JSON values."""
    manifest = index.manifest
    sizes = {name: entry.size for name, entry in manifest.files.items()}
    return {
        "index": str(index.path),
        "generation": index.generation.folder.name,
        "format_version": manifest.format_version,
        "documents": manifest.n_documents,
        "rejected_rows": manifest.n_rejected,
        "columns": {column.name: str(column.type) for column in index.documents.schema},
        "corpus": dict(manifest.corpus),
        "analyzer": dict(manifest.analyzer),
        "bm25": dict(manifest.bm25),
        "encoder": manifest.encoder,
        "vectors": manifest.vectors,
        "tokens": manifest.tokens,
        "runtimes": _runtimes(manifest.encoder),
        "bytes": {"total": sum(sizes.values()), **sizes},
        "sha256": {name: asdict(entry)["sha256"] for name, entry in manifest.files.items()},
        "libraries": dict(manifest.libraries),
        "build_seconds": _build_seconds(index.path / LAST_BUILD_NAME, index.generation.folder.name),
    }


def _runtimes(encoder: Mapping[str, object] | None) -> dict[str, str]:
    """What computes the models that can be found without a network, and why."""
    names: dict[Kind, str] = {"cross-encoder": DEFAULT_CROSS_ENCODER}
    found: dict[Kind, str] = {}
    if encoder is not None and encoder["name"] == STATIC_ENCODER:
        found["bi-encoder"] = "numpy: the sum of word vectors that are in the index"
    elif encoder is not None:
        names["bi-encoder"] = str(encoder["name"])
    for kind, name in names.items():
        try:
            found[kind] = told(resolve_model(name, offline=True, kind=kind), kind)
        except ModelError:
            continue
    return {str(kind): line for kind, line in found.items()}


def _build_seconds(path: Path, generation: str) -> object:
    """The times by stage, where the last build is the one that made this generation."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content.get("seconds") if content.get("generation") == generation else None
