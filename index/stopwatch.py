"""Where the time went: one running total per stage name."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns


class Stopwatch:
    """Adds up the wall time of named stages, in the order in which they first ran."""

    def __init__(self) -> None:
        """Start with no stage."""
        self._nanoseconds: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body and add it to the stage's total, also when the body raises."""
        begin = perf_counter_ns()
        try:
            yield
        finally:
            elapsed = perf_counter_ns() - begin
            self._nanoseconds[name] = self._nanoseconds.get(name, 0) + elapsed

    def milliseconds(self) -> dict[str, float]:
        """Stage name -> milliseconds so far."""
        return {name: ns / 1e6 for name, ns in self._nanoseconds.items()}
