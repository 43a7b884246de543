"""The group ``loadtest``: each module of ``loadtest.harness.commands`` is a subcommand."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import click

from loadtest.harness import commands
from loadtest.harness.exits import INTERRUPTED

PrepareBridge: TypeAlias = Callable[[Path, Path], Mapping[str, str]]
"""Given a triage file and an empty folder: settings that spare our own bridge the work of a first
start, such as spoken lines. Handed in by the bridge's command line, which knows how it keeps them.
"""


class Commands(click.Group):
    """Imports a subcommand only when it is asked for, or listed."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        names = (module.name for module in pkgutil.iter_modules(commands.__path__))
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """From the first call on a command ends interruptions itself, with what it has."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted before anything was measured", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


def no_preparation(_triage_file: Path, _folder: Path) -> Mapping[str, str]:
    """The bridge makes its lines itself when it starts."""
    return {}


def loadtest_group(prepare: PrepareBridge = no_preparation) -> click.Group:
    """The group, for a command line that may know how to prepare a bridge of ours."""

    @click.group("loadtest", cls=Commands, context_settings={"obj": prepare})
    def group() -> None:
        """Simulated phone calls against a bridge: latency budgets as gates, capacity as a number.

        Exit status: 0 gates passed, 1 a gate failed, 2 wrong use, 3 not valid (the generator was
        late), 130 interrupted.
        """

    return group
