"""``loadtest compare``: is B slower than A beyond noise? For CI, so the exit status says it too."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console

from loadtest.harness.comparing import Comparison, Overall, compare
from loadtest.harness.exits import GATE_FAILED, INVALID, PASSED
from loadtest.harness.questions import CompareError, Noise, Question
from loadtest.harness.report.comparison import table
from loadtest.harness.result import Result, ResultError, read

STATUS: Mapping[Overall, int] = {"not slower": PASSED, "slower": GATE_FAILED, "undecided": INVALID}
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

    Exit status: 0 no, 1 yes, 2 the comparison cannot be made, 3 nothing could be decided. Several
    runs a side, made in turns (A B A B), let the difference from run to run count; with one run a
    side small differences are left undecided.
    """
    paths_a, paths_b = _sides(files, a, b)
    try:
        question = _question(**asked)  # type: ignore[arg-type]
        results = _read_all([*paths_a, *paths_b], accept_invalid)
        found = compare(results[: len(paths_a)], results[len(paths_a) :], question)
    except CompareError as error:
        raise click.UsageError(str(error)) from error
    _tell(found, as_json)
    sys.exit(STATUS[found.verdict])


def _sides(
    files: Sequence[str], a: Sequence[str], b: Sequence[str]
) -> tuple[list[Path], list[Path]]:
    if files and (a or b):
        raise click.UsageError("give either A.json B.json, or --a and --b")
    if a and b:
        return _paths("--a", a), _paths("--b", b)
    if len(files) != 2:
        raise click.UsageError(f"{len(files)} files, expected A.json B.json, or --a and --b")
    return [Path(files[0])], [Path(files[1])]


def _paths(option: str, given: Sequence[str]) -> list[Path]:
    paths = [Path(one) for text in given for one in text.split(",") if one]
    if not paths:
        raise click.UsageError(f"{option} names no file")
    return paths


def _read_all(paths: Sequence[Path], accept_invalid: bool) -> list[Result]:
    """Raises CompareError with the faults of all files, a line each: unreadable ones first."""
    results: dict[Path, Result] = {}
    faults: list[str] = []
    for path in dict.fromkeys(paths):
        try:
            results[path] = read(path)
        except ResultError as error:
            faults.append(str(error))
    for path, result in results.items():
        if not result.valid and not accept_invalid:
            why = "; ".join(result.invalid_because)
            faults.append(f"{path}: the run is not valid ({why}); --accept-invalid takes it")
    if faults:
        raise CompareError("\n".join(faults))
    return [results[path] for path in paths]


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
