"""What the README tells a reader to type is what the command understands."""

import ast
import re
import shlex
import textwrap
from pathlib import Path

import pytest

from scisearch import cli

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
# indented code, with or without a prompt; a comment may follow
COMMANDS = [
    line.split("   #")[0] for line in re.findall(r"^ {4}(?:\$ )?search (.+)$", README, re.MULTILINE)
]


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) > 6


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_parses(line: str) -> None:
    name, *arguments = shlex.split(line)
    command = cli.main.commands[name]
    command.make_context(name, arguments).close()


def test_the_python_of_the_readme_imports_what_there_is() -> None:
    (block,) = re.findall(
        r"(?:^ {4}.*\n|^\n)*^ {4}from scisearch import .*\n(?:^ {4}.*\n|^\n)*", README, re.MULTILINE
    )
    code = textwrap.dedent(block)
    names = [
        alias.name
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and node.module == "scisearch"
        for alias in node.names
    ]
    scisearch = __import__("scisearch")
    assert names
    assert all(hasattr(scisearch, name) for name in names)


def test_every_exported_name_is_there() -> None:
    scisearch = __import__("scisearch")
    for name in scisearch.__all__:
        assert getattr(scisearch, name) is not None
