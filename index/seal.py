"""Tells an index that lies where it was written from one that was copied or touched since.

Checksums of a large index take seconds, so they are not computed on every open. The seal keeps the
inode and the modification time of every file as they were when its checksum was last known to be
right; a copy has other inodes, so its first open checks everything once and seals it anew.
"""

import json
from pathlib import Path

from scisearch.index.durable import replace_file
from scisearch.index.errors import CorruptIndexError
from scisearch.index.generations import Generation
from scisearch.index.manifest import check_files


def seal(generation: Generation) -> None:
    """Record that the checksums are right now. A folder that cannot be written stays unsealed."""
    content = json.dumps(_marks(generation), sort_keys=True).encode()
    try:
        replace_file(_path(generation), content)
    except OSError:  # read-only medium: the next open checks again
        return


def check_seal(generation: Generation) -> None:
    """Check all checksums if the seal is missing or broken, and then seal the generation.

    Raises:
        CorruptIndexError: a file is not what was written.
    """
    try:
        sealed = json.loads(_path(generation).read_bytes())
    except (OSError, ValueError):
        sealed = None
    if sealed == _marks(generation):
        return
    for check in check_files(generation.folder, generation.manifest):
        if check.problem is not None:
            raise CorruptIndexError(
                f"{generation.folder / check.name}: {check.problem};"
                " restore the file or build the index again with search build-index"
            )
    seal(generation)


def _path(generation: Generation) -> Path:
    return generation.folder.with_name(generation.folder.name + ".seal")


def _marks(generation: Generation) -> dict[str, object]:
    stats = {name: (generation.folder / name).stat() for name in generation.manifest.files}
    return {
        "manifest": generation.manifest_sha256,
        "files": {name: [stat.st_ino, stat.st_mtime_ns] for name, stat in stats.items()},
    }
