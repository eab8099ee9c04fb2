"""One index folder, its generations and the name of the live one.

    search-index/CURRENT      "gen-000002 <sha256 of its manifest.json>", replaced by rename, last
    search-index/gen-000002/  immutable
    search-index/build/       work in progress, of one builder at a time

A reader sees the old generation or the new one, never a mixture. The generation before the live one
is kept, for readers that opened it before the switch; older ones are removed.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scisearch.index.durable import replace_file, sync_folder, sync_tree
from scisearch.index.errors import BuildError, CorruptIndexError, IndexFormatError
from scisearch.index.manifest import MANIFEST_NAME, Manifest, file_sha256, read_manifest

CURRENT_NAME = "CURRENT"
_GENERATION = re.compile(r"gen-(\d{6,})")
_CURRENT = re.compile(r"(gen-\d{6,}) ([0-9a-f]{64})\n")


@dataclass(frozen=True, slots=True)
class Generation:
    """The live generation: its folder, and the manifest that CURRENT vouches for."""

    folder: Path
    manifest: Manifest
    manifest_sha256: str


def live_generation(index: Path) -> Generation:
    """Find and read the live generation of an index folder.

    Raises:
        IndexFormatError: there is no index, or one of another format.
        CorruptIndexError: CURRENT or the manifest is damaged.
    """
    path = index / CURRENT_NAME
    if not index.is_dir() or not path.is_file():
        state = "is no folder" if index.exists() and not index.is_dir() else "holds no index"
        raise IndexFormatError(
            f"{index}: {state}; make one with search build-index CORPUS --index {index},"
            " or name another with --index"
        )
    name, digest = _parse_current(path)
    return Generation(index / name, read_manifest(index / name, digest), digest)


def _parse_current(path: Path) -> tuple[str, str]:
    content = path.read_bytes().decode("utf-8", errors="replace")
    match = _CURRENT.fullmatch(content)
    if match is None:
        raise CorruptIndexError(
            f"{path}: found {content[:40]!r}, expected 'gen-NNNNNN SHA256';"
            " build the index again with search build-index"
        )
    return match[1], match[2]


def next_name(index: Path) -> str:
    """The name of the generation to be published next."""
    numbers = [int(m[1]) for p in index.glob("gen-*") if (m := _GENERATION.fullmatch(p.name))]
    return f"gen-{max(numbers, default=0) + 1:06d}"


def publish(index: Path, finished: Path, name: str) -> None:
    """Make the finished folder the live generation `name`; it must hold its manifest.

    May be called again after a crash at any point inside it.
    """
    target = index / name
    if finished.exists():
        sync_tree(finished)
        finished.rename(target)
        sync_folder(index)
    digest = file_sha256(target / MANIFEST_NAME)
    replace_file(index / CURRENT_NAME, f"{name} {digest}\n".encode())
    _remove_old(index, keep=name)


def _remove_old(index: Path, keep: str) -> None:
    names = sorted(
        (p.name for p in index.glob("gen-*") if _GENERATION.fullmatch(p.name)), key=_number
    )
    for name in names[: max(0, names.index(keep) - 1)]:
        # an old generation that cannot be removed (open on Windows, say) costs space, nothing else
        shutil.rmtree(index / name, ignore_errors=True)
        (index / f"{name}.seal").unlink(missing_ok=True)


def _number(name: str) -> int:
    return int(name.removeprefix("gen-"))


@contextmanager
def build_lock(index: Path) -> Iterator[None]:
    """Hold the right to build in this folder; the system frees it when the process dies.

    Raises:
        BuildError: another process holds it, or the folder cannot be written.
    """
    path = index / "build.lock"
    try:
        index.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+b")
    except OSError as error:
        raise BuildError(
            f"{index}: cannot be written ({error.strerror}); name another folder with --index"
        ) from error
    with stream:
        try:
            _lock(stream.fileno())
        except OSError as error:
            raise BuildError(
                f"{index}: another process is building here; wait for it, or name another --index"
            ) from error
        yield


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
