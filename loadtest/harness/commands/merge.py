"""``loadtest merge``: the results of several generators as one."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from loadtest.harness.exits import status_of
from loadtest.harness.gates import GateError, judge_all, parse_all
from loadtest.harness.merging import merge
from loadtest.harness.report import summary, write_html
from loadtest.harness.result import ResultError, read, write

NAME = "merged"


@click.command("merge", context_settings={"show_default": True})
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--gate", "gates", multiple=True, metavar="GATE", help="Instead of the runs' gates.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/loadtest"),
    help="Folder for merged.json and merged.html.",
)
def command(files: tuple[Path, ...], gates: tuple[str, ...], out: Path) -> None:
    """Add up FILES of runs that loaded the same bridge; percentiles are exact."""
    try:
        asked = parse_all(gates)
        whole = merge([read(file) for file in files], [str(file) for file in files])
        if asked:
            whole = whole.model_copy(update={"gates": judge_all(asked, whole)})
        out.mkdir(parents=True, exist_ok=True)
        write(whole, out / f"{NAME}.json")
        write_html(whole, out / f"{NAME}.html")
    except (ResultError, GateError) as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}") from error
    Console(highlight=False).print(summary(whole))
    click.echo(f"{out / NAME}.json, {out / NAME}.html")
    raise click.exceptions.Exit(status_of(whole))
