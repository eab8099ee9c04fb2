"""Settings chosen on some queries and tried on others, and what that says about a fuller system.

Everything is a table of nDCG@10: a row for each query, a column for each setting. Choosing needs no
fitting, so a setting's mean over inner folds is its mean over all their queries.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.bootstrap import bootstrap_intervals

TOLERANCE = 0.001  # settings so close to the best one are taken for as good
Proof = Literal["interval", "mean"]

Table = NDArray[np.float64]  # (n_queries, n_settings), settings in order of preference
Values = NDArray[np.float64]  # (n_queries,)
Rows = NDArray[np.int64]  # positions of queries


@dataclass(frozen=True, slots=True)
class Gain:
    """The mean of paired differences, with its 95% bootstrap interval over queries."""

    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, object]:
        """The gain as JSON values."""
        return {"mean": self.mean, "interval": [self.low, self.high]}


def gains_of(columns: Sequence[Values]) -> list[Gain]:
    """The gain that each column of differences, one for each query, shows."""
    table = np.stack(columns, axis=1)
    bounds = bootstrap_intervals(table).tolist()
    means = table.mean(axis=0).tolist()
    return [Gain(mean, low, high) for mean, (low, high) in zip(means, bounds, strict=True)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A system against a simpler one, on queries that chose the settings of neither."""

    system: str
    over: str
    gain: Gain
    pays: bool

    def to_json(self) -> dict[str, object]:
        """The verdict as JSON values."""
        return {
            "system": self.system,
            "over": self.over,
            "gain": self.gain.to_json(),
            "pays": self.pays,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Systems:
    """nDCG@10 of every setting of every system, the simplest system first.

    A system with a `parent` has a table for each setting of the parent that it may stand on: the
    parent's setting is chosen first, for itself. `defaults` is each system's column (with a parent:
    the parent's and its own) of the settings that are used without tuning.
    """

    tables: Mapping[str, Mapping[int, Table]]  # without a parent only under 0
    parents: Mapping[str, str]
    defaults: Mapping[str, tuple[int, int]]

    @property
    def n_queries(self) -> int:
        """How many queries there are."""
        return len(next(iter(next(iter(self.tables.values())).values())))

    def values(self, system: str, setting: tuple[int, int], rows: Rows) -> Values:
        """What one setting of a system gives these queries."""
        values: Values = self.tables[system][setting[0]][rows, setting[1]]
        return values

    def best(self, system: str, rows: Rows) -> tuple[int, int]:
        """The setting of a system that these queries choose."""
        parent = self.parents.get(system)
        first = 0 if parent is None else self.best(parent, rows)[1]
        return first, best_setting(self.tables[system][first], rows)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The system that is taken, its setting, and why.

    `held_out` is system -> nDCG@10 of each query with the setting that the other folds choose;
    `expected` is nDCG@10 of each query with the chosen system, see `choose`.
    """

    system: str
    setting: tuple[int, int]
    held_out: Mapping[str, Values]
    tuned: Mapping[str, bool]  # system -> whether that beats its default setting
    verdicts: tuple[Verdict, ...]
    expected: Values


def best_setting(table: Table, rows: Rows) -> int:
    """The first column whose mean over the rows is within TOLERANCE of the best one's."""
    means = table[rows].mean(axis=0)
    return int(np.flatnonzero(means >= means.max() - TOLERANCE)[0])


def split(rows: Rows, folds: int, seed: int) -> list[Rows]:
    """The rows in `folds` random parts of nearly the same size."""
    mixed = np.random.default_rng(seed).permutation(rows)
    return [np.sort(part) for part in np.array_split(mixed, folds)]


def training_sets(n_queries: int, folds: int, seed: int) -> Iterator[Rows]:
    """All sets of queries on which `choose` chooses settings."""
    rows = np.arange(n_queries)
    yield rows
    for outer, _ in _parted(rows, folds, seed):
        yield outer
        for inner, _ in _parted(outer, folds, seed):
            yield inner


def held_out(systems: Systems, system: str, rows: Rows, folds: int, seed: int) -> Values:
    """nDCG@10 of each of the rows with the setting that the rows of the other folds choose."""
    found = np.zeros(systems.n_queries)
    for chosen_on, tried_on in _parted(rows, folds, seed):
        found[tried_on] = systems.values(system, systems.best(system, chosen_on), tried_on)
    return found[rows]


def choose(systems: Systems, *, folds: int, seed: int, proof: Proof) -> Choice:
    """The fullest system that pays for itself, its setting, and what to expect of it.

    Each system has the better, on held-out queries, of its tuned and its default settings. A system
    pays for itself if its gain over *every* simpler system does: with `proof` "interval" the whole
    95% bootstrap interval of the held-out gain lies above 0, with "mean" the gain itself does. The
    simplest system needs no proof. The burden is on the fuller system because what it costs (a
    model, its time for every query) is certain.

    The expectation is nested: for each fold, the others decide by folds of their own whether tuned
    settings help, and which; nothing of a query's own judgements went into its settings. Where the
    default settings are taken nothing was chosen, and their own values are expected. That the
    system was chosen by the same queries is not corrected for.
    """
    rows = np.arange(systems.n_queries)
    tried = {name: held_out(systems, name, rows, folds, seed) for name in systems.tables}
    default = {name: systems.values(name, systems.defaults[name], rows) for name in tried}
    tuned = {name: bool(tried[name].mean() > default[name].mean()) for name in tried}
    values = {name: tried[name] if tuned[name] else default[name] for name in tried}
    verdicts = _verdicts(values, proof)
    refused = {one.system for one in verdicts if not one.pays}
    system = [name for name in values if name not in refused][-1]
    if not tuned[system]:
        return Choice(
            system, systems.defaults[system], tried, tuned, verdicts, expected=default[system]
        )
    setting = systems.best(system, rows)
    return Choice(
        system, setting, tried, tuned, verdicts, expected=_expected(systems, system, folds, seed)
    )


def _expected(systems: Systems, system: str, folds: int, seed: int) -> Values:
    """nDCG@10 of each query with the tuned or default setting that the other folds decide for."""
    found = np.zeros(systems.n_queries)
    for chosen_on, tried_on in _parted(np.arange(systems.n_queries), folds, seed):
        setting = systems.defaults[system]
        tried = held_out(systems, system, chosen_on, folds, seed)
        if tried.mean() > systems.values(system, setting, chosen_on).mean():
            setting = systems.best(system, chosen_on)
        found[tried_on] = systems.values(system, setting, tried_on)
    return found


def _parted(rows: Rows, folds: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """For each fold the rows of the others, and its own."""
    for part in split(rows, folds, seed):
        yield np.setdiff1d(rows, part), part


def _verdicts(values: Mapping[str, Values], proof: Proof) -> tuple[Verdict, ...]:
    pairs = [(later, earlier) for earlier, later in combinations(values, 2)]
    pairs.sort(key=lambda pair: list(values).index(pair[0]))
    gains = gains_of([values[system] - values[over] for system, over in pairs]) if pairs else []
    return tuple(
        Verdict(system, over, gain, (gain.low if proof == "interval" else gain.mean) > 0)
        for (system, over), gain in zip(pairs, gains, strict=True)
    )
