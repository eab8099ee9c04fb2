"""A progress bar on stderr: units per second and time left, for what takes over two seconds."""

import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_LABELS = {
    "read": "reading",
    "bm25": "BM25 index",
    "tokens": "token store",
    "embed": "embedding",
    "vectors": "vector index",
    "mine": "mining negatives",
    "teacher": "teacher's scores",
    "train": "training",
}


class TerminalProgress:
    """Shows the running stage as a bar; shows nothing where stderr is no terminal."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._bar: tqdm[Any] | None = None

    def start(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """Begin a bar; it appears once the stage has run for two seconds."""
        from tqdm import tqdm

        size = shutil.get_terminal_size()
        self._bar = tqdm(
            desc=_LABELS.get(stage, stage),
            total=total,
            initial=done,
            unit=f" {unit}",
            delay=2,
            leave=False,
            # asked here: a terminal that does not know its size says 0, and tqdm shows nothing
            ncols=size.columns,
            nrows=size.lines,
            disable=not sys.stderr.isatty(),
            file=sys.stderr,
        )

    def advance(self, count: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(count)

    def finish(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
