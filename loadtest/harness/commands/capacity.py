"""``loadtest capacity``: the most calls that are carried within gates."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import uvloop

from loadtest.bench.figures import RIG_LATE_P99_LIMIT_MS
from loadtest.bench.system import BenchError, alone
from loadtest.harness.capacity import (
    CapacityReport,
    OwnPlan,
    own_capacity,
    summary,
    trial_line,
    write_capacity,
)
from loadtest.harness.gates import GateError
from loadtest.harness.own_bridge import DEFAULT_GATES, Window, light_gates
from loadtest.harness.search import SearchPlan, Trial

INTERRUPTED = 130
NOTHING_CARRIED = 1


@click.command("capacity", context_settings={"show_default": True})
@click.option(
    "--gate",
    "gates",
    multiple=True,
    help=f"What a number of calls has to keep; may be given several times. [default: "
    f"{', '.join(DEFAULT_GATES)}]",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes of the bridge.")
@click.option("--runs", type=click.IntRange(1, 20), default=3, help="Searches; the median counts.")
@click.option("--start", type=click.IntRange(1, 5000), default=100, help="First number tried.")
@click.option("--limit", type=click.IntRange(1, 5000), default=1500, help="Most calls tried.")
@click.option("--trials", type=click.IntRange(1, 50), default=10, help="Most trials in a search.")
@click.option(
    "--window", "window_s", type=click.FloatRange(1, 600), default=6.0, help="Seconds a trial."
)
@click.option(
    "--generator-late-ms",
    type=click.FloatRange(0.1),
    default=RIG_LATE_P99_LIMIT_MS,
    help="A trial whose load was later than this at p99 says nothing of the bridge.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/capacity.json"), help="Result."
)
def command(gates: tuple[str, ...], out: Path, **bounds: float) -> None:
    """Find the most calls that our bridge carries on one core (or in N workers) within gates.

    It is started here, on a core of its own, in front of a simulated model; callers and model run
    on another core, at real-time priority where that is permitted. Nothing else should run.
    """
    try:
        plan = OwnPlan(
            gates=light_gates(gates),
            search=SearchPlan(int(bounds["start"]), int(bounds["limit"]), int(bounds["trials"])),
            runs=int(bounds["runs"]),
            workers=int(bounds["workers"]),
            window=Window(bounds["window_s"], bounds["generator_late_ms"]),
        )
    except GateError as error:
        raise click.UsageError(str(error)) from error
    try:
        with alone():
            report = uvloop.run(own_capacity(plan, _say))
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    finish(report, out)


def _say(number: int, trial: Trial) -> None:
    click.echo(trial_line(number, trial))


def finish(report: CapacityReport, out: Path) -> None:
    """Write the file, tell the sentence, and end with the status that goes with it."""
    for line in summary(report):
        click.echo(line)
    try:
        write_capacity(report, out)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    click.echo(f"wrote {out}")
    if report.partial:
        sys.exit(INTERRUPTED)
    if not report.confidence.runs[-1]:
        sys.exit(NOTHING_CARRIED)
