"""Commands whose users see what they did wrong in one line."""

from typing import Any

import click

from scisearch.index.errors import ScisearchError


class Command(click.Command):
    """Shows a ScisearchError as one line; any other exception is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ScisearchError as error:
            raise click.ClickException(str(error)) from error


class Commands(Command, click.Group):
    """A group of such commands."""
