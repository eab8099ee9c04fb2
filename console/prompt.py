"""Where the queries of `search query` come from."""

import sys
from collections.abc import Iterator

import click


def queries(text: str | None) -> Iterator[str]:
    """The text given, or one query per line from a prompt or from stdin, up to the end of input.

    A prompt stands on stderr, so that the answers alone are on stdout.
    """
    if text is not None:
        yield text
        return
    if not sys.stdin.isatty():
        yield from (line.rstrip("\r\n") for line in sys.stdin)
        return
    while True:
        try:
            yield click.prompt(
                "query", prompt_suffix="> ", default="", show_default=False, err=True
            )
        except click.Abort:  # ^D or ^C at the prompt: the reader is done
            click.echo(err=True)
            return
