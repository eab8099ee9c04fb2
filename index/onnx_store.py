"""Models in their ONNX form, kept in the user's cache folder; what was decided about each, and why.

    KEY.json               the decision, and the name and sha256 of the file it is about
    KEY-SHA256.onnx        the graph with its weights

KEY is a digest of the weights, the configuration, this version of the form, ONNX Runtime's version
and the processor's instructions: what one processor computes well, another may not. A graph is
named by its content, and a decision is replaced by rename: writers at the same time do not disturb
each other, and a reader finds a whole form or none. Damaged files count as none.
"""

import hashlib
import json
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from scisearch.index.cache_folder import cache_folder
from scisearch.index.cache_use import forget_unused, mark_used
from scisearch.index.durable import replace_file
from scisearch.index.models import Kind, ResolvedModel

Form = Literal["int8", "float32", "none"]  # none: PyTorch computes this model

_VERSION = 7  # of how a form is made; raised where other bytes would come out
_INSTRUCTIONS = {"avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}


@dataclass(frozen=True, slots=True)
class Decision:
    """In which form a model is computed, why, and how far that is from PyTorch float32."""

    form: Form
    reason: str
    drift: Mapping[str, float]
    sha256: str | None = None  # of the graph's file; None where the form is none


@dataclass(frozen=True, slots=True)
class Stored:
    """A decision and, unless its form is none, the bytes of the graph."""

    decision: Decision
    content: bytes


def store_folder() -> Path:
    """The part of the cache folder that has ONNX forms; may not exist."""
    return cache_folder() / "onnx"


def find(model: ResolvedModel, kind: Kind) -> Stored | None:
    """What is kept of a model; None where nothing is, or not as it was written."""
    decision = find_decision(model, kind)
    if decision is None or decision.sha256 is None:
        return None if decision is None else Stored(decision, b"")
    key = _key(model, kind)
    graph = _graph_path(key, decision.sha256)
    try:
        content = graph.read_bytes()
    except OSError:
        return None
    for path in (graph, _decision_path(key)):
        mark_used(path)
    whole = hashlib.sha256(content).hexdigest() == decision.sha256
    return Stored(decision, content) if whole else None


def find_decision(model: ResolvedModel, kind: Kind) -> Decision | None:
    """What was decided about a model, without a look at the graph."""
    try:
        found = Decision(**json.loads(_decision_path(_key(model, kind)).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return found if (found.sha256 is None) == (found.form == "none") else None


def can_keep() -> bool:
    """Whether the cache folder can be written."""
    try:
        folder = store_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def keep(model: ResolvedModel, kind: Kind, stored: Stored) -> None:
    """Write a decision and its graph, the decision last; forms long unused go.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    forget_unused(store_folder())
    key = _key(model, kind)
    if stored.decision.sha256 is not None:
        _write(_graph_path(key, stored.decision.sha256), stored.content)
    _write(_decision_path(key), json.dumps(asdict(stored.decision), indent=2).encode())


def computed_by(stored: Stored | None) -> list[str]:
    """What decides the last bits of an output besides model and input.

    The graph, the library's version and the processor; `stored` None is PyTorch.
    """
    library = version("torch" if stored is None else "onnxruntime")
    graph = "" if stored is None else str(stored.decision.sha256)
    return [graph, library, platform.machine(), *_instructions()]


def _write(path: Path, content: bytes) -> None:
    """By rename, under a name that no other writer has."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="part-") as own:
        part = Path(own) / path.name
        replace_file(part, content)
        part.replace(path)


def _decision_path(key: str) -> Path:
    return store_folder() / f"{key}.json"


def _graph_path(key: str, digest: str) -> Path:
    return store_folder() / f"{key}-{digest[:16]}.onnx"


def _key(model: ResolvedModel, kind: Kind) -> str:
    files = ("config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json")
    configuration = hashlib.sha256()
    for name in files:
        path = model.folder / name
        configuration.update(path.read_bytes() if path.is_file() else b"")
    parts = [
        str(_VERSION),
        kind,
        model.sha256,
        configuration.hexdigest(),
        version("onnxruntime"),
        platform.machine(),
        *_instructions(),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _instructions() -> list[str]:
    """Those the 8-bit kernels choose by, where the system tells (Linux); sorted."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    for line in text.splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return sorted(_INSTRUCTIONS & set(flags.split()))
    return []
