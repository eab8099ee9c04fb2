"""A folder or a file in parts of at most so many bytes, and whole again.

For a machine that gives files back in parts only. The parts are those of a tar archive without
owners and times; a list beside them has their number and the sha256 of the whole.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from scisearch.index.errors import TrainingError

PART_BYTES = 16_000_000
_LIST = "parts.json"


def split_into_parts(source: Path, folder: Path, *, part_bytes: int = PART_BYTES) -> list[Path]:
    """Write the parts of a file or a folder into `folder`; returns them, the list of them last.

    Raises:
        TrainingError: there is nothing to split, or `folder` already holds parts.
    """
    if not source.exists():
        raise TrainingError(f"{source}: is not there; expected a file or a folder to split")
    if (folder / _LIST).exists():
        raise TrainingError(f"{folder}: already holds parts; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    archive = _archive(source.resolve())
    written: list[Path] = []
    for begin in range(0, len(archive), part_bytes):
        path = folder / f"part-{len(written):03d}"
        path.write_bytes(archive[begin : begin + part_bytes])
        written.append(path)
    told = {"parts": len(written), "sha256": hashlib.sha256(archive).hexdigest()}
    listed = folder / _LIST
    listed.write_text(json.dumps(told) + "\n")
    return [*written, listed]


def join_parts(folder: Path, output: Path) -> Path:
    """Put what was split below `output`; returns its path, a file or a folder of its old name.

    Raises:
        TrainingError: a part is missing or changed, or something of that name is there.
    """
    try:
        told = json.loads((folder / _LIST).read_bytes())
        paths = [folder / f"part-{number:03d}" for number in range(told["parts"])]
        archive = b"".join(path.read_bytes() for path in paths)
    except FileNotFoundError as error:
        raise TrainingError(f"{error.filename}: is missing; copy all the parts") from error
    found = hashlib.sha256(archive).hexdigest()
    if found != told["sha256"]:
        raise TrainingError(
            f"{folder}: its {len(paths)} parts have sha256 {found[:12]}…, expected"
            f" {told['sha256'][:12]}…; copy them again"
        )
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        name = tar.getnames()[0].partition("/")[0]
        if (output / name).exists():
            raise TrainingError(f"{output / name}: is there already; give another folder")
        tar.extractall(output, filter="data")
    return output / name


def _archive(source: Path) -> bytes:
    """A tar archive with the same bytes for the same content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path in _files(source):
            content = path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(source.parent).as_posix())
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    else:
        yield from sorted(path for path in source.rglob("*") if path.is_file())
