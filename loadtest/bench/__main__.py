"""``python -m loadtest.bench``: calls the bridge carries on one core, beside bare relays."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.console import Console

from loadtest.bench.bench import Bench, BenchPlan
from loadtest.bench.certificate import make_certificate
from loadtest.bench.figures import Level, Run
from loadtest.bench.report import Conditions, level_line, table, write_json
from loadtest.bench.rig import Rig
from loadtest.bench.stillness import Absence, absence
from loadtest.bench.system import (
    BRIDGE,
    CEILING,
    SYSTEMS,
    YARDSTICK,
    BenchError,
    Seats,
    alone,
    raise_file_limit,
    take_core,
)
from loadtest.bench.turns import TurnPlan

_QUICK_RUNS, _QUICK_STEPS, _QUICK_WINDOW_S = 1, 2, 3.0
_TLS_CALLS_PER_SECOND = 25.0
"""A TLS session costs milliseconds to make: callers do not all come in the same second."""
_FILES_PER_CALL = 3
_OTHER_FILES = 1_000
_WATCHED_S = 3.0
"""Before the runs and after them."""


def _numbers(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise click.BadParameter(f"{text!r}, expected whole numbers with commas between") from None
    if any(number < 1 for number in found):
        raise click.BadParameter(f"{text!r}, expected numbers of calls, at least 1")
    return tuple(sorted(found))


def _system_names(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in found if name not in SYSTEMS]
    if unknown or not found:
        raise click.BadParameter(f"{text!r}, expected some of {', '.join(SYSTEMS)}")
    return found


@click.command(context_settings={"show_default": True})
@click.option("--quick", is_flag=True, help="One short run: about 40 seconds, and rough.")
@click.option("--runs", type=click.IntRange(1, 20), default=3, help="Medians are over these.")
@click.option("--systems", default=f"{BRIDGE},{YARDSTICK}", callback=_system_names)
@click.option("--with-picows", is_flag=True, help="Measure the bare picows relay as well.")
@click.option("--levels", default="150", callback=_numbers, help="Calls measured for all.")
@click.option(
    "--steps",
    "search_steps",
    type=click.IntRange(0, 10),
    default=3,
    help="Levels to find the most calls.",
)
@click.option(
    "--window", "window_s", type=click.FloatRange(1, 60), default=6.0, help="Seconds a level."
)
@click.option(
    "--decisions",
    "decisions_per_second",
    type=click.FloatRange(0, 200),
    default=0.0,
    help="Measure each of --levels again while so many further calls a second are decided.",
)
@click.option("--limit", type=click.IntRange(1, 5_000), default=1_500, help="Most calls tried.")
@click.option("--no-transcripts", is_flag=True, help="The model writes nothing down.")
@click.option("--tls", is_flag=True, help="TLS on the model leg, with a self-made certificate.")
@click.option("--tls-callers", is_flag=True, help="TLS on the callers' leg too: implies --tls.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/bench.json"))
def main(
    quick: bool,
    with_picows: bool,
    tls: bool,
    tls_callers: bool,
    no_transcripts: bool,
    out: Path,
    **given: Any,  # noqa: ANN401 -- click's
) -> None:
    """Measure how many calls each system carries on one core, and what a call costs it.

    Every system runs alone on one core; the callers and the model run on another. Needs two cores
    that nobody else uses; compare figures of one bench only.
    """
    systems: tuple[str, ...] = given.pop("systems")
    if with_picows and CEILING not in systems:
        systems = (*systems, CEILING)
    plan = BenchPlan(systems, **given)
    if quick:
        plan = replace(plan, runs=_QUICK_RUNS, search_steps=_QUICK_STEPS, window_s=_QUICK_WINDOW_S)
    try:
        with alone(), tempfile.TemporaryDirectory(prefix="bench-") as folder:
            talk = TurnPlan(transcripts=not no_transcripts)
            with_tls = Tls(model=tls or tls_callers, callers=tls_callers)
            uvloop.run(_measure(plan, talk, with_tls, Path(folder), out))
    except BenchError as error:
        raise click.ClickException(str(error)) from error


@dataclass(frozen=True, slots=True)
class Tls:
    """Which legs have it."""

    model: bool
    callers: bool


async def _measure(plan: BenchPlan, talk: TurnPlan, tls: Tls, folder: Path, out: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    certificate = make_certificate(folder) if tls.model else None
    client = None
    if certificate is not None:
        environment = {"SSL_CERT_FILE": str(certificate.public)}
        if tls.callers:
            environment |= certificate.shown_by_system
            client = certificate.client_context()
        plan = replace(plan, environment=environment, calls_per_second=_TLS_CALLS_PER_SECOND)
    plan = _within_file_limit(plan, console)
    seats = Seats.find()
    fifo = take_core(seats.rig_core)
    conditions = Conditions.here(
        seats, realtime_priority=fifo, tls=tls.model, callers_tls=tls.callers
    )
    for line in conditions.lines():
        console.print(line)
    if not talk.transcripts:
        console.print("no transcripts")

    def say(system: str, level: Level) -> None:
        console.print(level_line(system, level))

    absences = [_watched(console, seats)]
    rig = Rig(talk, certificate.server_context() if certificate else None, client)
    await rig.start()
    try:
        runs = await Bench(plan, rig, seats, folder, say).run()
    finally:
        await rig.close()
    _show(console, runs)
    absences.append(_watched(console, seats))
    write_json(out, plan, conditions, runs, absences)
    console.print(f"wrote {out}")


def _watched(console: Console, seats: Seats) -> Absence:
    found = absence(seats, _WATCHED_S)
    console.print(found.line())
    return found


def _within_file_limit(plan: BenchPlan, console: Console) -> BenchPlan:
    """A process holds two sockets a call, and some more while calls come and go."""
    most = (raise_file_limit() - _OTHER_FILES) // _FILES_PER_CALL
    if most >= plan.limit:
        return plan
    console.print(f"open files are limited: at most {most} calls are tried, not {plan.limit}")
    return replace(plan, limit=most)


def _show(console: Console, runs: list[Run]) -> None:
    console.print(table(runs))
    if any(run.limited_by_rig for run in runs):
        console.print(">= the search ended where the rig, not the system, was late")


if __name__ == "__main__":
    main()
