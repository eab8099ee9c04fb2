"""The options of commands that are judged on several collections."""

from pathlib import Path
from typing import Any

import click

PLACES = "A folder of test collections, or FOLDER:SPLIT for one split of one"


class _NamedFile(click.ParamType[tuple[str, Path]]):
    """NAME=FILE."""

    name = "NAME=FILE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, Path]:
        """The name and the path."""
        name, equals, path = str(value).partition("=")
        if not (name and equals and path):
            wanted = "NAME=FILE, a collection's folder name and a file of pairs"
            self.fail(f"{value!r} is not {wanted}", param, ctx)
        return name, Path(path)


def _by_name(
    _ctx: click.Context, _param: click.Parameter, values: tuple[tuple[str, Path], ...]
) -> dict[str, Path]:
    return dict(values)


ignore_option = click.option(
    "--ignore",
    type=_NamedFile(),
    multiple=True,
    callback=_by_name,
    help="Of the collection in folder NAME, pairs 'query_id doc_id' that are left out of the"
    " judgements and of every run.",
)
