"""Check a whole index against its checksums."""

from dataclasses import dataclass
from pathlib import Path

from scisearch.index.generations import live_generation
from scisearch.index.manifest import FileCheck, check_files


@dataclass(frozen=True, slots=True)
class Verification:
    """Every file of the live generation, and what is wrong with it."""

    generation: Path
    checks: tuple[FileCheck, ...]

    @property
    def sound(self) -> bool:
        """Whether every file is what was written, and no other file is there."""
        return all(check.problem is None for check in self.checks)


def verify_index(index: Path) -> Verification:
    """Read every file of the live generation and compare its checksum.

    Raises:
        IndexFormatError: there is no index.
        CorruptIndexError: CURRENT or the manifest is damaged, so that there is nothing to go by.
    """
    generation = live_generation(index)
    return Verification(
        generation.folder, tuple(check_files(generation.folder, generation.manifest))
    )
