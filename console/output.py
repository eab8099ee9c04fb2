"""One value printed for a reader or for a program."""

import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

import click


def show(value: Any, render: Callable[[Any], str], *, as_json: bool) -> None:
    """Print a report, a dataclass or JSON values, for a program or for a reader."""
    if as_json:
        show_json(asdict(value) if is_dataclass(value) and not isinstance(value, type) else value)
    else:
        click.echo(render(value))


def show_json(value: Any, *, indent: int | None = 2) -> None:
    """Print JSON values; on one line with `indent` None."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    # a lone surrogate in a query has no UTF-8 form; as an escape it is legal JSON
    click.echo(text.encode(errors="backslashreplace").decode())
