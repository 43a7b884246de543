"""``loadtest generator``: how many calls one core generates on time, here."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
import uvloop

from loadtest.bench.system import BenchError, alone
from loadtest.harness.callers import DEFAULT, read_callers
from loadtest.harness.generator import GeneratorTrials, far_end, free_port
from loadtest.harness.search import Search, SearchPlan, Trial, search
from loadtest.scenarios.line import PERFECT


@click.command("generator", context_settings={"show_default": True})
@click.option("--with-model", is_flag=True, help="With the simulated model in the same process.")
@click.option("--start", type=click.IntRange(1, 20_000), default=200, help="First number tried.")
@click.option("--limit", type=click.IntRange(1, 20_000), default=3200, help="Most calls tried.")
@click.option("--trials", type=click.IntRange(1, 50), default=12, help="Most trials.")
@click.option("--window", "window_s", type=click.FloatRange(1, 600), default=8.0, help="Seconds.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/generator.json"), help="Result."
)
def command(
    with_model: bool, start: int, limit: int, trials: int, window_s: float, out: Path
) -> None:
    """Find how many calls this generator sends on time: p99 at most 5 ms late, no frame left out.

    Its calls go to something that costs next to nothing, on another core. With fewer calls a run
    can blame the bridge; with more it is not valid, and more generators are needed.
    """
    plan = SearchPlan(start, limit, trials)
    try:
        with alone():
            found, realtime = uvloop.run(_search(plan, window_s, with_model))
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    what = "callers and model" if with_model else "callers alone"
    more = " or more" if found.carried == limit else ""
    click.echo(f"one core keeps {found.carried}{more} calls on time ({what})")
    out.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "kind": "generator",
        "with_model": with_model,
        "real_time_priority": realtime,
        "calls": found.carried,
        "plan": asdict(plan),
        "trials": [trial.to_json() for trial in found.trials],
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


async def _search(plan: SearchPlan, window_s: float, with_model: bool) -> tuple[Search, bool]:
    callers = read_callers(DEFAULT if with_model else ["silent"], [], None, PERFECT)
    port, model_port = free_port(), free_port()
    trials = GeneratorTrials(callers, window_s, with_model, model_port, port)

    async def attempt(calls: int) -> Trial:
        trial = await trials.attempt(calls)
        figures = ", ".join(f"{name} {value:g}" for name, value in trial.figures)
        complaints = "".join(f"; {one}" for one in trial.complaints)
        click.echo(f"{calls} calls: {'on time' if trial.passed else 'late'}, {figures}{complaints}")
        return trial

    async with far_end(port, model_port if with_model else None) as realtime:
        return await search(plan, attempt), realtime
