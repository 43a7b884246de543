"""Every option of every command is told in a document: ``--help`` alone is found by nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bridge.cli import cli

ROOT = Path(__file__).parents[1]
TEXT = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
)


def options(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """The words of a command and its long options, of all commands below this one."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from options(below, (*words, name))
    for one in command.params:
        if words and isinstance(one, click.Option) and not one.hidden:
            yield " ".join(words), max(one.opts, key=len)


@pytest.mark.parametrize(("command", "option"), sorted(set(options(cli))))
def test_every_option_is_told(command: str, option: str) -> None:
    assert re.search(rf"{option}(?![\w-])", TEXT), f"{command} {option}"
