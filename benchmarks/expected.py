"""The figures that our own benchmarks must give: expected.toml, and what a card says against it.

[[benchmark]]
name = "cranfield"
command = "search benchmark COLLECTIONS/cranfield --systems bm25"
[benchmark.systems]
bm25 = { "nDCG@10" = 0.4334, tolerance = 0.0001 }

Where queries are papers of the corpus, `asking_paper` is a regular expression whose first group
finds the paper's id in the query's; it is then no answer to its own query (`--ignore`).
"""

import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scisearch.benchmarks.card import MEASURES, Card
from scisearch.index.errors import ConfigError

PATH = Path(__file__).with_name("expected.toml")
COLLECTIONS = "COLLECTIONS"  # stands for the folder of collections in a command
_TOLERANCE = "tolerance"


@dataclass(frozen=True, slots=True)
class Expected:
    """One benchmark, and between which values its measures must be."""

    name: str
    command: tuple[str, ...]  # the words after `search benchmark`
    systems: Mapping[str, Mapping[str, float]]  # system -> measure -> value
    tolerances: Mapping[str, float]  # system -> how far a measure may be from its value
    asking_paper: re.Pattern[str] | None = None

    @property
    def folder(self) -> str | None:
        """The collection's folder below the folder of collections; None for the demo."""
        before, found, folder = self.command[0].partition(f"{COLLECTIONS}/")
        return folder if found and not before else None

    def arguments(self, collections: Path) -> list[str]:
        """The words after `search`, with the collections where they are."""
        words = [word.replace(COLLECTIONS, str(collections), 1) for word in self.command]
        return ["benchmark", *words]

    def ignored(self, query_ids: Iterable[str]) -> str | None:
        """The lines of an ignore file, query and asking paper; None where no paper asks."""
        if self.asking_paper is None:
            return None
        found = [(query_id, self.asking_paper.match(query_id)) for query_id in query_ids]
        return "".join(f"{query_id}\t{match[1]}\n" for query_id, match in found if match)


@dataclass(frozen=True, slots=True)
class Drift:
    """A measure that is not what is expected; `found` None: the card has no such system."""

    name: str
    system: str
    measure: str
    expected: float
    found: float | None
    tolerance: float

    def __str__(self) -> str:
        """One line."""
        found = "is missing" if self.found is None else f"is {self.found:.4f}"
        return (
            f"{self.name}: {self.measure} of {self.system} {found}, expected"
            f" {self.expected:.4f} within {self.tolerance:g}"
        )


def read_expected(path: Path = PATH) -> list[Expected]:
    """The expectations of a file.

    Raises:
        ConfigError: it cannot be read, or an entry is not as the docstring of this module shows.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["benchmark"]
        return [_expected(entry) for entry in entries]
    except (OSError, KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        raise ConfigError(
            f"{path}: {error}; expected tables [[benchmark]] with name, command (search benchmark"
            " ...) and systems, each with its measures and a tolerance"
        ) from error


def drifts(
    expected: Expected, card: Card, *, systems: tuple[str, ...] | None = None
) -> list[Drift]:
    """What a card says against the expectation; `systems` are those that were run, None: all."""
    found: list[Drift] = []
    for system, measures in expected.systems.items():
        if systems is not None and system not in systems:
            continue
        quality = card["systems"].get(system, {}).get("quality", {}).get("measures", {})
        tolerance = expected.tolerances[system]
        for measure, value in measures.items():
            mean = quality[measure]["mean"] if measure in quality else None
            # figures stand with four decimals
            if mean is None or abs(mean - value) > tolerance + 0.00005:
                found.append(Drift(expected.name, system, measure, value, mean, tolerance))
    return found


def _expected(entry: Mapping[str, object]) -> Expected:
    words = shlex.split(str(entry["command"]))
    if words[:2] != ["search", "benchmark"] or len(words) < 3:
        raise ValueError(f"command {entry['command']!r}")
    given = entry["systems"]
    if not isinstance(given, dict) or not given:
        raise ValueError(f"systems of {entry['name']}")
    systems = {name: {k: v for k, v in of.items() if k != _TOLERANCE} for name, of in given.items()}
    for name, measures in systems.items():
        unknown = [measure for measure in measures if measure not in MEASURES]
        if unknown or not measures:
            raise ValueError(f"{name} of {entry['name']} has measures {unknown or 'none'}")
    return Expected(
        name=str(entry["name"]),
        command=tuple(words[2:]),
        systems=systems,
        tolerances={name: float(of[_TOLERANCE]) for name, of in given.items()},
        asking_paper=re.compile(str(entry["asking_paper"])) if "asking_paper" in entry else None,
    )
