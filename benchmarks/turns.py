"""Ours and that of sentence-transformers in turns, and how long each takes."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

Work = Callable[[], Any]  # an array


class Turns:
    """What each of two does in turn, and how long it takes."""

    def __init__(self) -> None:
        """Nothing is taken yet."""
        self.seconds: dict[str, list[tuple[float, float]]] = {}  # wall, processor

    def take(self, works: Mapping[str, Work], *, first: int) -> dict[str, Any]:
        """Let each work once, another one first each time."""
        names = list(works)
        shift = first % len(names)
        found = {}
        for name in names[shift:] + names[:shift]:
            wall, processor = time.perf_counter(), time.process_time()
            found[name] = works[name]()
            took = (time.perf_counter() - wall, time.process_time() - processor)
            self.seconds.setdefault(name, []).append(took)
        return found

    def wall(self) -> dict[str, float]:
        """Seconds of the wall clock that each took in all turns."""
        return {name: sum(wall for wall, _ in taken) for name, taken in self.seconds.items()}

    def to_json(self) -> dict[str, Any]:
        """Medians, and the median of how many times ours theirs took."""
        ratios = [
            [theirs[kind] / ours[kind] for ours, theirs in zip(*self._pairs(), strict=True)]
            for kind in (0, 1)
        ]
        medians = {
            name: [round(median(one[kind] for one in taken), 4) for kind in (0, 1)]
            for name, taken in self.seconds.items()
        }
        return {
            "turns": len(ratios[0]),
            "seconds_wall_processor": medians,
            "times_ours_wall": round(median(ratios[0]), 2),
            "times_ours_processor": round(median(ratios[1]), 2),
        }

    def _pairs(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        return self.seconds["scisearch"], self.seconds["sentence-transformers"]
