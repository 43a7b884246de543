"""``loadtest compare``: is B slower than A beyond noise? For CI: exit status 0 no, 1 yes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from loadtest.harness.comparing import CompareError, Comparison, Noise, Question, compare
from loadtest.harness.report.comparison import table
from loadtest.harness.result import Result, ResultError, read

SLOWER = 1
_PLAIN_WIDTH = 120


@click.command("compare", context_settings={"show_default": True})
@click.argument("files", nargs=-1, metavar="[A.json B.json]")
@click.option("--a", "a", multiple=True, metavar="FILES", help="Several runs of A, with commas.")
@click.option("--b", "b", multiple=True, metavar="FILES", help="Several runs of B, with commas.")
@click.option(
    "--figure",
    "figures",
    multiple=True,
    metavar="NAME[.p95]",
    help="Compare only this latency; may be given several times.  [default: p50 and p95 of all]",
)
@click.option("--noise", default="5%,2ms", help="A difference that does not matter; the larger.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.05,
    help="Chance of a false alarm in the whole comparison.",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="Of the bootstrap.")
@click.option("--accept-invalid", is_flag=True, help="Compare runs whose generator was late, too.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def command(
    files: tuple[str, ...],
    a: tuple[str, ...],
    b: tuple[str, ...],
    accept_invalid: bool,
    as_json: bool,
    **asked: object,
) -> None:
    """Say whether B is slower than A beyond noise, or fails more calls.

    Exit status: 0 no, 1 yes, 2 the comparison cannot be made. Several runs a side, made in turns
    (A B A B), let the difference from run to run count.
    """
    try:
        side_a, side_b = (_read_all(paths, accept_invalid) for paths in _sides(files, a, b))
        found = compare(side_a, side_b, _question(**asked))  # type: ignore[arg-type]
    except (CompareError, ResultError) as error:
        raise click.UsageError(str(error)) from error
    _tell(found, as_json)
    sys.exit(SLOWER if found.worse else 0)


def _sides(
    files: Sequence[str], a: Sequence[str], b: Sequence[str]
) -> tuple[list[Path], list[Path]]:
    if files and (a or b):
        raise click.UsageError("give either A.json B.json, or --a and --b")
    if a and b:
        return _paths(a), _paths(b)
    if len(files) != 2:
        raise click.UsageError(f"{len(files)} files, expected A.json B.json, or --a and --b")
    return [Path(files[0])], [Path(files[1])]


def _paths(given: Sequence[str]) -> list[Path]:
    return [Path(one) for text in given for one in text.split(",") if one]


def _read_all(paths: Sequence[Path], accept_invalid: bool) -> list[Result]:
    results = []
    for path in paths:
        result = read(path)
        if not result.valid and not accept_invalid:
            why = "; ".join(result.invalid_because)
            raise CompareError(f"{path}: the run is not valid ({why}); --accept-invalid takes it")
        results.append(result)
    return results


def _question(figures: tuple[str, ...], noise: str, alpha: float, seed: int) -> Question:
    return Question(figures, Noise.parse(noise), alpha, seed)


def _tell(found: Comparison, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PLAIN_WIDTH)
    console.print(table(found))
