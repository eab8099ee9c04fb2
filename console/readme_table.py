"""`make docs`: the table of results in README.md, written from the kept cards."""

from collections.abc import Mapping
from pathlib import Path

import click

from scisearch.benchmarks.card import MAIN_MEASURE, Card, predecessor
from scisearch.benchmarks.commands import Command
from scisearch.benchmarks.kept_cards import FOLDER, read_kept_cards
from scisearch.benchmarks.system_names import SYSTEMS
from scisearch.console.tables import Table
from scisearch.index.errors import ConfigError

BEGIN = "<!-- results: written by make docs from benchmarks/cards -->"
END = "<!-- end of results -->"


def results_table(cards: Mapping[str, Card]) -> str:
    """Each kept card as a row: nDCG@10 of each system; what the last one adds, and its time."""
    systems = [name for name in SYSTEMS if any(name in card["systems"] for card in cards.values())]
    timed = any(_last(card)["latency"] for card in cards.values())
    rows = [
        [
            _name(card),
            f"{card['collection']['n_documents']:,}",
            f"{card['collection']['n_queries']:,}",
            *(_mean(card, system) for system in systems),
            _interval(card),
            _added(card),
            *([_time(card)] if timed else []),
        ]
        for card in cards.values()
    ]
    header = ["collection", "documents", "queries", *systems, "95% interval of the last"]
    header += ["last against what it had to improve on", *(["its ms, p50 / p95"] if timed else [])]
    return Table(header, rows).markdown()


def with_results(text: str, table: str) -> str:
    """The page with the table between the marks.

    Raises:
        ConfigError: it does not have both marks, once and in their order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ConfigError(f"README: expected the lines {BEGIN} and {END}, once each")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


@click.command(cls=Command)
@click.option("--readme", type=click.Path(path_type=Path), default=Path("README.md"))
@click.option("--cards", type=click.Path(path_type=Path), default=FOLDER)
def main(readme: Path, cards: Path) -> None:
    """Write the table of results in the README from the kept cards."""
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_results(text, results_table(read_kept_cards(cards))), "utf-8")


def _last(card: Card) -> Card:
    found: Card = card["systems"][next(reversed(card["systems"]))]
    return found


def _mean(card: Card, system: str) -> str:
    if system not in card["systems"]:
        return ""
    return f"{card['systems'][system]['quality']['measures'][MAIN_MEASURE]['mean']:.4f}"


def _name(card: Card) -> str:
    pools = ", own pools" if card["request"].get("judged_pool") else ""
    return f"{card['collection']['name']}{pools}"


def _added(card: Card) -> str:
    """The last system against its predecessor, with an interval, and p without correction."""
    last = next(reversed(card["systems"]))
    names = [predecessor(last, list(card["systems"])), last]
    for test in card["tests"]:
        if [test["first"], test["second"]] == names:
            low, high = test["interval"]
            p = f"{test['p']:.2f}" if test["p"] >= 0.01 else f"{test['p']:.4f}"
            p = p if test["p"] >= 0.0001 else "<0.0001"
            return f"{test['mean']:+.4f} ({low:+.4f} to {high:+.4f}), p {p}"
    return ""


def _interval(card: Card) -> str:
    low, high = _last(card)["quality"]["measures"][MAIN_MEASURE]["interval"]
    return f"{low:.3f} to {high:.3f}"


def _time(card: Card) -> str:
    latency = _last(card)["latency"]
    return f"{latency['total']['p50']:.0f} / {latency['total']['p95']:.0f}" if latency else ""


if __name__ == "__main__":
    main()
