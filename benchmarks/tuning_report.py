"""What `search tune` found: the chosen settings, and the figures that speak for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scisearch.benchmarks.cross_validation import (
    Choice,
    Gain,
    Systems,
    Verdict,
    gains_of,
)

Describe = Callable[[str, tuple[int, int]], dict[str, Any]]  # system and setting -> config names


@dataclass(frozen=True, slots=True)
class TunedSystem:
    """One system with and without tuning; settings by the names of a config file."""

    default: Gain  # nDCG@10 itself
    held_out: Gain  # nDCG@10 itself, each query with the setting that the others chose
    gain: Gain  # of the tuned settings over the default ones, held out
    settings: Mapping[str, Any]  # chosen on all queries
    tuned: bool  # whether they beat the default ones

    def to_json(self) -> dict[str, object]:
        """The system as JSON values."""
        return {
            "default": self.default.to_json(),
            "held_out": self.held_out.to_json(),
            "gain": self.gain.to_json(),
            "settings": dict(self.settings),
            "tuned": self.tuned,
        }


@dataclass(frozen=True, slots=True)
class TuningReport:
    """The choice and what is to be expected of it.

    `expected` and `gains` are by nested cross-validation, see `cross_validation.choose`.
    """

    system: str
    settings: Mapping[str, Any]  # the config's, by the names of its keys
    n_queries: int
    expected: Gain  # nDCG@10 itself
    gains: Mapping[str, Gain]  # over each system with default settings
    systems: Mapping[str, TunedSystem]
    verdicts: tuple[Verdict, ...]
    facts: Mapping[str, Any]

    @property
    def fullest(self) -> str:
        """The system that a search uses without a config."""
        return list(self.systems)[-1]

    @property
    def refused(self) -> tuple[str, ...]:
        """The systems that do not pay for themselves."""
        return tuple(dict.fromkeys(one.system for one in self.verdicts if not one.pays))

    def to_json(self) -> dict[str, object]:
        """The report as JSON values."""
        return {
            **self.facts,
            "n_queries": self.n_queries,
            "measure": "nDCG@10",
            "chosen": self.system,
            "settings": dict(self.settings),
            "expected": self.expected.to_json(),
            "gains_over_defaults": {name: one.to_json() for name, one in self.gains.items()},
            "systems": {name: one.to_json() for name, one in self.systems.items()},
            "verdicts": [one.to_json() for one in self.verdicts],
            "refused": list(self.refused),
        }


def tuning_report(
    systems: Systems,
    choice: Choice,
    *,
    describe: Describe,
    facts: Mapping[str, Any],
) -> TuningReport:
    """The report of a choice.

    Args:
        systems: the tables it was made from.
        choice: made on all queries.
        describe: a system's setting by the names of a config file.
        facts: what else the report says.
    """
    rows = np.arange(systems.n_queries)
    tried, expected = choice.held_out, choice.expected
    default = {name: systems.values(name, systems.defaults[name], rows) for name in tried}
    columns = [expected, *(expected - of for of in default.values())]
    for name, values in tried.items():
        columns += [default[name], values, values - default[name]]
    found = iter(gains_of(columns))
    mean, gains = next(found), {name: next(found) for name in tried}
    tuned = {
        name: TunedSystem(
            default=next(found),
            held_out=next(found),
            gain=next(found),
            settings=describe(name, systems.best(name, rows)),
            tuned=choice.tuned[name],
        )
        for name in tried
    }
    return TuningReport(
        system=choice.system,
        settings=describe(choice.system, choice.setting),
        n_queries=systems.n_queries,
        expected=mean,
        gains=gains,
        systems=tuned,
        verdicts=choice.verdicts,
        facts=facts,
    )
