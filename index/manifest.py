"""What one generation of an index is made of, and whether its files are still what was written.

Knows the manifest file and checksums; knows nothing of the meaning of the other files.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from scisearch.index.errors import CorruptIndexError, IndexFormatError

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
_LIBRARIES = (
    "scisearch",
    "bm25s",
    "faiss-cpu",
    "numpy",
    "onnxruntime",
    "pyarrow",
    "sentence-transformers",
    "torch",
)
_BLOCK = 1 << 20
_REBUILD = "build the index again with search build-index"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size in bytes and sha256 (hex) of one file of a generation."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents page of one generation; `files` maps a path below the generation to its entry.

    `encoder`, `vectors` and `tokens` are None where the index has no such part.
    """

    n_documents: int
    n_rejected: int
    corpus: Mapping[str, object]
    analyzer: Mapping[str, object]
    bm25: Mapping[str, object]
    encoder: Mapping[str, object] | None
    vectors: Mapping[str, object] | None
    tokens: Mapping[str, object] | None
    files: Mapping[str, FileEntry]
    libraries: Mapping[str, str]
    format_version: int = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """The manifest as UTF-8 JSON; equal manifests give equal bytes."""
        return (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode()


def library_versions() -> dict[str, str]:
    """The installed versions of what writes an index."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hex, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def file_entries(folder: Path) -> dict[str, FileEntry]:
    """An entry for every file below `folder` except the manifest, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): FileEntry(path.stat().st_size, file_sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME
    }


def read_manifest(generation: Path, expected_sha256: str) -> Manifest:
    """Read the manifest of a generation.

    Raises:
        CorruptIndexError: it is missing or not the one that CURRENT names by its sha256.
        IndexFormatError: it was written in another format version.
    """
    path = generation / MANIFEST_NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorruptIndexError(f"{path}: cannot be read ({error.strerror}); {_REBUILD}") from error
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        raise CorruptIndexError(
            f"{path}: its sha256 is not {expected_sha256[:12]}… as CURRENT says: it was changed"
            f" after it was written; {_REBUILD}"
        )
    return _parse(path, json.loads(content))


def _parse(path: Path, fields: dict[str, object]) -> Manifest:
    found = fields.get("format_version")
    if found != FORMAT_VERSION:
        raise IndexFormatError(
            f"{path}: index format {found}, but this version of scisearch reads format"
            f" {FORMAT_VERSION}; {_REBUILD}, or install the version that wrote it"
        )
    files = fields.pop("files")
    if not isinstance(files, dict):
        raise IndexFormatError(f"{path}: 'files' is no table; {_REBUILD}")
    entries = {name: FileEntry(**entry) for name, entry in files.items()}
    return Manifest(files=entries, **fields)  # type: ignore[arg-type]  # checked by the sha256


def check_sizes(generation: Path, manifest: Manifest) -> None:
    """Check that every file is there with its size; reads no content.

    Raises:
        CorruptIndexError: a file is missing or has another size.
    """
    for name, entry in manifest.files.items():
        path = generation / name
        size = path.stat().st_size if path.is_file() else None
        if size != entry.size:
            found = "missing" if size is None else f"{size} bytes"
            raise CorruptIndexError(f"{path}: {found}, expected {entry.size} bytes; {_REBUILD}")


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What `verify` found of one file; `problem` is None where it is as it was written."""

    name: str
    size: int
    problem: str | None


def check_files(generation: Path, manifest: Manifest) -> Iterator[FileCheck]:
    """Check every file's size and sha256, and that no file is there that was not written."""
    for name, entry in manifest.files.items():
        yield FileCheck(name, entry.size, _problem(generation / name, entry))
    known = {*manifest.files, MANIFEST_NAME}
    for path in sorted(generation.rglob("*")):
        name = path.relative_to(generation).as_posix()
        if path.is_file() and name not in known:
            yield FileCheck(name, path.stat().st_size, "not in the manifest")


def _problem(path: Path, entry: FileEntry) -> str | None:
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if size != entry.size:
        return f"{size} bytes, expected {entry.size}"
    found = file_sha256(path)
    if found != entry.sha256:
        return f"sha256 {found[:12]}…, expected {entry.sha256[:12]}…"
    return None
