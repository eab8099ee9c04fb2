"""How a long job tells of its progress, without knowing who looks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Somebody who is told how far a stage has come."""

    def start(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """A stage begins; `total` and `done` count `unit`s, `total` is None where unknown."""
        ...

    def advance(self, count: int) -> None:
        """`count` more units of the running stage are done."""
        ...

    def finish(self) -> None:
        """The running stage has ended."""
        ...

    def tell(self, line: str) -> None:
        """Something is known, long before the job's end."""
        ...


class NoProgress:
    """Tells nobody."""

    def start(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """Ignore the stage."""

    def advance(self, count: int) -> None:
        """Ignore the step."""

    def finish(self) -> None:
        """Ignore the end."""

    def tell(self, line: str) -> None:
        """Ignore what is known."""


@contextmanager
def stage_of(
    progress: Progress, stage: str, total: int | None, *, unit: str = "docs", done: int = 0
) -> Iterator[None]:
    """Start a stage, and finish it also when the body raises."""
    progress.start(stage, total, unit, done)
    try:
        yield
    finally:
        progress.finish()
