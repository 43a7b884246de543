"""The command line. Each module of this package is a subcommand: it holds a click command named
``command``, and is imported only when asked for (or listed)."""

from __future__ import annotations

import importlib
import pkgutil

import click

from bridge import __version__
from bridge.errors import ConfigurationError

WRONG_CONFIGURATION = 2
INTERRUPTED = 130


class FaultyConfiguration(click.ClickException):
    """Every fault on a line of its own, exit status 2."""

    exit_code = WRONG_CONFIGURATION

    def __init__(self, error: ConfigurationError) -> None:
        count = len(error.faults)
        head = "1 fault" if count == 1 else f"{count} faults"
        faults = "".join(f"\n  - {fault}" for fault in error.faults)
        super().__init__(f"{head} in the configuration{faults}")


class Commands(click.Group):
    """Finds subcommands among the modules of this package."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        names = (module.name for module in pkgutil.iter_modules(__path__))
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise FaultyConfiguration(error) from error
        except KeyboardInterrupt:  # click's own status for it would be that of a failure
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Voice triage in front of Twilio Studio and Flex."""
