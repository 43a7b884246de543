"""``loadtest capacity``: the most calls that are carried within gates."""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import uvloop

from loadtest.bench.figures import RIG_LATE_P99_LIMIT_MS
from loadtest.bench.system import BenchError, alone
from loadtest.harness.capacity import (
    CapacityReport,
    OwnPlan,
    own_capacity,
    summary,
    target_capacity,
    trial_line,
    write_capacity,
)
from loadtest.harness.cli import PrepareBridge
from loadtest.harness.commands import run as running
from loadtest.harness.engine import RunError
from loadtest.harness.exits import GATE_FAILED, INTERRUPTED, INVALID, WRONG_USE
from loadtest.harness.gates import GateError
from loadtest.harness.own_bridge import DEFAULT_GATES, Window, light_gates
from loadtest.harness.search import SearchPlan, Trial
from loadtest.harness.target_trials import TargetPlan

NOTHING_CARRIED = GATE_FAILED
LIGHT_WINDOW_S, RUN_WINDOW_S = 6.0, 30.0
_NOT_OURS = ("calls", "for_s", "own_bridge", "degrade", "out", "arrival")
"""Options of ``run`` that a search decides by itself."""


@click.pass_obj
def _capacity(prepare: PrepareBridge, /, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Find the most calls that are carried within gates, by repeated searches.

    Without --target or --voice our own bridge is started here, on a core of its own, in front of a
    simulated model; the callers run on another core, at real-time priority where that is
    permitted, and speak tones. With one of them every trial is a run of its own, with recorded
    callers and every gate of `run`. Nothing else should run on this machine.
    """
    out: Path = options["out"]
    bounds = SearchPlan(options["start"], options["limit"], options["trials"])
    try:
        running.writable(out)
        if options["target"] or options["voice"]:
            report = _of_target(prepare, options, bounds)
        else:
            report = _of_own_bridge(options, bounds)
    except (*running.MISUSE, GateError) as error:
        raise click.UsageError(str(error)) from error
    except (RunError, BenchError) as error:
        raise running.Misled(str(error)) from error
    except OSError as error:
        raise running.Misled.by(error) from error
    finish(report, out)


def _of_own_bridge(options: Mapping[str, Any], bounds: SearchPlan) -> CapacityReport:
    window_s = options["window_s"] or LIGHT_WINDOW_S
    plan = OwnPlan(
        gates=light_gates(options["gates"]),
        search=bounds,
        runs=options["runs"],
        workers=options["workers"],
        window=Window(window_s, options["generator_late_ms"]),
    )
    with alone():
        return uvloop.run(own_capacity(plan, _say))


def _of_target(
    prepare: PrepareBridge, options: Mapping[str, Any], bounds: SearchPlan
) -> CapacityReport:
    if not options["gates"]:
        raise GateError("expected at least one --gate: what a number of calls has to keep")
    given = {
        **options,
        "calls": bounds.start,
        "for_s": 60.0,
        "own_bridge": None,
        "degrade": (),
        "arrival": "ramp",
    }
    asked = running.Asked(**{one.name: given[one.name] for one in fields(running.Asked)})
    with tempfile.TemporaryDirectory(prefix="capacity-") as folder:
        run_plan = running.plan_of(asked, prepare, Path(folder))
        plan = TargetPlan(
            run=run_plan,
            search=bounds,
            runs=options["runs"],
            window_s=options["window_s"] or RUN_WINDOW_S,
        )
        return uvloop.run(target_capacity(plan, _say))


def _say(number: int, trial: Trial) -> None:
    click.echo(trial_line(number, trial))


def finish(report: CapacityReport, out: Path) -> None:
    """Write the file, tell the sentence, and end with the status that goes with it."""
    for line in summary(report):
        click.echo(line)
    try:
        write_capacity(report, out)
    except OSError as error:
        raise running.Misled(f"cannot write {out}: {error.strerror}") from error
    click.echo(f"wrote {out}")
    if report.partial:
        sys.exit(WRONG_USE if report.ended_early else INTERRUPTED)
    if not report.measured:
        sys.exit(INVALID)
    if not report.confidence.runs[-1]:
        sys.exit(NOTHING_CARRIED)


def _options() -> list[click.Parameter]:
    """Those of ``run`` that make sense here."""
    found = [copy.copy(one) for one in running.command.params if one.name not in _NOT_OURS]
    for option in found:
        if option.name == "gates" and isinstance(option, click.Option):
            option.help = f"May be given several times. [default: {', '.join(DEFAULT_GATES)}]"
    return found


def _number(name: str, most: int, default: int, help_text: str) -> click.Option:
    return click.Option(
        [f"--{name}"], type=click.IntRange(1, most), default=default, help=help_text
    )


command = click.Command(
    "capacity",
    callback=_capacity,
    help=_capacity.__doc__,
    context_settings={"show_default": True},
    params=[
        *_options(),
        _number("runs", 20, 3, "Searches; the median counts."),
        _number("start", 5000, 100, "First number of calls tried."),
        _number("limit", 5000, 1500, "Most calls tried."),
        _number("trials", 50, 10, "Most trials in one search."),
        click.Option(
            ["--window", "window_s"],
            type=click.FloatRange(1, 3600),
            help=f"Seconds of a trial at full load.  [default: {LIGHT_WINDOW_S:g}, "
            f"with a target {RUN_WINDOW_S:g}]",
        ),
        click.Option(
            ["--generator-late-ms"],
            type=click.FloatRange(0.1),
            default=RIG_LATE_P99_LIMIT_MS,
            help="Our own bridge: a trial whose load was later at p99 says nothing of it.",
        ),
        click.Option(
            ["--out"],
            type=click.Path(dir_okay=False, path_type=Path),
            default=Path("out/capacity.json"),
            help="The result file.",
        ),
    ],
)
