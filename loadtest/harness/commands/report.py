"""``loadtest report``: the HTML report of a result file."""

from __future__ import annotations

from pathlib import Path

import click

from loadtest.harness.report import write_html
from loadtest.harness.result import ResultError, read

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("report")
@click.argument("result", type=FILE)
@click.option("-o", "--out", type=FILE, help="The HTML file.  [default: beside RESULT]")
def command(result: Path, out: Path | None) -> None:
    """Write the HTML report of the result file RESULT: one file that needs no network."""
    out = result.with_suffix(".html") if out is None else out
    try:
        found = read(result)
    except ResultError as error:
        raise click.UsageError(str(error)) from error
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_html(found, out)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    click.echo(f"wrote {out}")
