"""``triage-bridge chaos``: break everything around many calls, and see that none is lost."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

import click

from bridge.lines import LineCache
from dispatch.text import in_language
from dispatch.triagefile import load
from loadtest.chaos.conversation import LINE_MS, tone
from loadtest.chaos.run import TRIAGE_FILE, Report, Wanted, run
from loadtest.chaos.verdict import INVARIANTS, SILENCE_MS

BROKEN = 1


@click.command("chaos")
@click.option("--calls", default=100, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--seed", type=int, help="What is drawn from; a new one each time by default.")
@click.option("--only", type=click.IntRange(0), help="One call of the seed, by its number.")
@click.option("--at-once", default=20, show_default=True, type=click.IntRange(1, 500))
@click.option("--workers", default=2, show_default=True, type=click.IntRange(2, 16))
@click.option("--calm-processes", is_flag=True, help="Leave processes and store in peace.")
@click.option("--log", type=click.Path(path_type=Path), help="Keep the processes' log here.")
def command(
    calls: int,
    seed: int | None,
    only: int | None,
    at_once: int,
    workers: int,
    calm_processes: bool,
    log: Path | None,
) -> None:
    """Many short calls through real processes, with faults drawn from a seed at every step."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    wanted = Wanted(seed, calls, only, workers, at_once, process_faults=not calm_processes)
    click.echo(f"seed {seed}, {calls if only is None else 1} calls, {workers} workers")
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        environ = {"GREETING_CACHE": str(spoken_lines(folder / "lines"))}
        report = asyncio.run(run(wanted, folder, environ, click.echo))
        if log is not None:
            log.write_bytes((folder / "serve.log").read_bytes())
    _print(report, wanted)
    sys.exit(0 if report.held else BROKEN)


def spoken_lines(folder: Path) -> Path:
    """The bridge's own lines, as if the model had said them before."""
    cache = LineCache(folder)
    policy = load(TRIAGE_FILE).policy
    said = policy.lines
    for line in (said.greeting, said.apology, said.hold, said.closing, said.goodbye):
        text = in_language(line, policy.language)
        cache.put(policy.model.voice, policy.model.model, text, tone(LINE_MS, 600))
    return folder


def _print(report: Report, wanted: Wanted) -> None:
    click.echo("outcomes: " + _counted(report.outcomes))
    click.echo("faults: " + _counted(report.happened))
    longest = max(report.waits, default=0)
    click.echo(f"waits for a sound: {len(report.waits)}, the longest {longest} ms")
    click.echo(f"the machine itself was late by up to {report.slack_ms} ms at once")
    if report.forgiven:
        click.echo(
            f"above {SILENCE_MS} ms for no more than the machine was late: {report.forgiven}"
        )
    if not report.judged:
        click.echo("no verdict: the machine had no time for this; run it on an idle one")
    for one in report.left:
        click.echo(f"left behind: {one}")
    if report.held:
        for invariant in INVARIANTS:
            click.echo(f"held: {invariant}")
        return
    for number in sorted(report.broken):
        click.echo(f"again: triage-bridge chaos --seed {wanted.seed} --only {number}")


def _counted(counter: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"
