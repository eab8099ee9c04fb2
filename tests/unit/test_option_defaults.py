"""What `--help` says of defaults: they stand a second time in options, to keep start-up light."""

import inspect
from dataclasses import MISSING, fields
from typing import Any

import pytest
from click import Command

from scisearch import cli
from scisearch.index.bm25_formula import BM25Parameters
from scisearch.index.models import DEFAULT_BI_ENCODER, STATIC_ENCODER
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.encoder_fusion import NUMBERS
from scisearch.retrieval.fusion import DENSE_WEIGHT, Fusion

QUERY: Command = cli.main.commands["query"]
BUILD: Command = cli.main.commands["build-index"]
# Options that are named otherwise than the field that they set.
RENAMED = {"bm25_variant": "variant", "fusion": "kind"}


def defaults_of(owner: type) -> dict[str, Any]:
    return {one.name: one.default for one in fields(owner) if one.default is not MISSING}


def own_defaults(command: Command, owner: type) -> list[tuple[str, Any, Any]]:
    """Name, default of the option and of the field, for each option that has one of its own."""
    known = defaults_of(owner)
    pairs = [(RENAMED.get(str(one.name), str(one.name)), one.default) for one in command.params]
    return [
        (name, default, known[name])
        for name, default in pairs
        if name in known and isinstance(default, str | int | float)
    ]


@pytest.mark.parametrize(
    ("command", "owner", "least"),
    [(QUERY, SearchConfig, 6), (QUERY, Fusion, 3), (BUILD, BM25Parameters, 4)],
)
def test_an_option_has_the_default_of_the_field_it_sets(
    command: Command, owner: type, least: int
) -> None:
    found = own_defaults(command, owner)
    assert len(found) >= least
    assert [(name, default) for name, default, _ in found] == [(name, of) for name, _, of in found]


def help_of(option: str) -> str:
    [found] = [one for one in QUERY.params if one.name == option]
    return inspect.cleandoc(getattr(found, "help", "") or "")


def test_help_tells_the_numbers_that_belong_to_the_bi_encoder() -> None:
    static, default = NUMBERS[STATIC_ENCODER], NUMBERS[DEFAULT_BI_ENCODER]
    weights = f"[default: {DENSE_WEIGHT}; with --encoder static: {static.weight}]"
    assert help_of("dense_weight").endswith(weights)
    name = DEFAULT_BI_ENCODER.rpartition("/")[2]
    assert help_of("dense_span").endswith(f"[default: {default.span} with {name}, else 0]")
    assert default.weight == DENSE_WEIGHT
    assert static.span == 0
