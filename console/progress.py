"""Progress on stderr: units per second and time left, a bar on a terminal and lines in a file."""

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from scisearch.index.progress import Progress

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


_LOGGED_SECONDS = 60.0


def stderr_progress() -> Progress:
    """A bar where stderr is a terminal; else, as in a job's log, a line a minute."""
    return TerminalProgress() if sys.stderr.isatty() else LoggedProgress()


class TerminalProgress:
    """Shows the running stage as a bar, where it takes over two seconds."""

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

    def tell(self, line: str) -> None:
        """Put the line above the bar."""
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)


class LoggedProgress:
    """Writes a line every so many seconds; a job that is done before writes none."""

    def __init__(self, seconds: float = _LOGGED_SECONDS) -> None:
        """Write nothing yet."""
        self._seconds = seconds
        self._stage, self._unit = "", ""
        self._total: int | None = None
        self._before = self._done = 0
        self._begun = self._last = self._first = time.monotonic()

    def start(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """Begin to count."""
        self._stage, self._total, self._unit = _LABELS.get(stage, stage), total, unit
        self._before = self._done = done
        self._begun = self._last = time.monotonic()

    def advance(self, count: int) -> None:
        """Count, and write where it is time to."""
        self._done += count
        now = time.monotonic()
        if now - self._last >= self._seconds:
            self._last = now
            self.tell(self._line(now - self._begun))

    def finish(self) -> None:
        """Leave it at what was written."""

    def tell(self, line: str) -> None:
        """Write the line, unless the job may be done in a moment."""
        if time.monotonic() - self._first >= self._seconds:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def _line(self, seconds: float) -> str:
        of = "" if self._total is None else f" of {self._total:,}"
        speed = (self._done - self._before) / seconds
        rate = f"{speed:,.0f}" if speed >= 100 else f"{speed:.2g}"
        unit = "" if self._unit == self._stage else f" {self._unit}"
        line = f"{self._stage}: {self._done:,}{of}{unit}, {rate} {self._unit}/s"
        if self._total is not None and speed > 0:
            line += f", {_duration((self._total - self._done) / speed)} left"
        return line


def _duration(seconds: float) -> str:
    """Whole minutes, or seconds below two of them."""
    if seconds < 120:
        return f"{max(0, seconds):.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
