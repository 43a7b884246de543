"""``loadtest soak``: the same load for hours, and whether anything grows meanwhile."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.console import Console

from loadtest.harness.cli import PrepareBridge
from loadtest.harness.commands import run as running
from loadtest.harness.engine import RunError
from loadtest.harness.exits import status_of
from loadtest.harness.options import duration
from loadtest.harness.plan import RunPlan
from loadtest.harness.report import summary, write_html
from loadtest.harness.result import Result, write
from loadtest.harness.serving import ServingError
from loadtest.harness.soak import SoakLimits, judge_soak, not_watched
from loadtest.harness.surroundings import free_port
from loadtest.harness.taskwatch import TaskWatch, TaskWatchError

NAME = "soak"
LEAST_S = 20.0
MOST_STEPS = 1800
"""A step is a second, and longer where that would be more steps than these."""
DEFAULTS = {"for_s": "2h", "out": Path("out/soak")}
_LIMITS = SoakLimits()


def _options() -> list[click.Parameter]:
    """Those of ``run``, with what a soak has otherwise."""
    found: list[click.Parameter] = []
    for option in running.command.params:
        mine = copy.copy(option)
        if mine.name in DEFAULTS:
            mine.default = DEFAULTS[mine.name]
        if mine.name == "out" and isinstance(mine, click.Option):
            mine.help = f"Folder for {NAME}.json and {NAME}.html."
        if mine.name == "for_s":
            mine.callback = duration(LEAST_S, running.LONGEST_S)
        found.append(mine)
    return found


@click.pass_obj
def _soak(prepare: PrepareBridge, /, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Place the same calls for hours; memory, descriptors, threads, tasks or latencies that grow
    fail the soak.

    Memory, descriptors and threads need --pid, or --own-bridge.
    """
    limits = _limits(options)
    tasks_url: str | None = options.pop("tasks_url")
    asked = running.Asked(**{one.name: options[one.name] for one in fields(running.Asked)})
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=running.PLAIN_WIDTH)
    try:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            plan = running.plan_of(asked, prepare, Path(folder))
            plan = replace(plan, step_s=max(1.0, plan.for_s / MOST_STEPS))
            running.writable(*(asked.out / f"{NAME}.{kind}" for kind in ("json", "html")))
            running.introduce(console, asked, plan)
            result, tasks = uvloop.run(_place(plan, console, tasks_url))
        judged = judge_soak(result, limits, tasks)
        write(judged, asked.out / f"{NAME}.json")
        write_html(judged, asked.out / f"{NAME}.html")
    except (*running.MISUSE, TaskWatchError) as error:
        raise click.UsageError(str(error)) from error
    except (RunError, ServingError) as error:
        raise running.Misled(str(error)) from error
    except OSError as error:
        raise running.Misled.by(error, NAME) from error
    console.print(summary(judged))
    for line in not_watched(judged, tasks):
        console.print(f"not watched: {line}", markup=False)
    console.print(f"{asked.out / NAME}.json, {asked.out / NAME}.html", style="dim")
    raise click.exceptions.Exit(status_of(judged))


async def _place(
    plan: RunPlan, console: Console, tasks_url: str | None
) -> tuple[Result, Sequence[tuple[float, float]]]:
    if tasks_url is None:
        plan, tasks_url = _own_tasks(plan)
    if tasks_url is None:
        return await running.place_calls(plan, console), ()
    watch = TaskWatch(tasks_url, plan.step_s)
    if plan.own_bridge is None:
        await watch.check()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(watch.watching())
        return await running.place_calls(plan, console), watch.readings


def _own_tasks(plan: RunPlan) -> tuple[RunPlan, str | None]:
    """Our own bridge tells its tasks; of several workers, only whichever is asked."""
    own = plan.own_bridge
    if own is None or own.workers != 1:
        return plan, None
    port = own.port or free_port()
    url = f"http://127.0.0.1:{port}/healthz"
    return replace(plan, own_bridge=replace(own, port=port)), url


def _limits(options: dict[str, Any]) -> SoakLimits:
    """Takes the limits out of the options."""
    return SoakLimits(
        memory_kib=options.pop("memory_mib") * 1024,
        files=options.pop("files"),
        threads=options.pop("threads"),
        tasks=options.pop("tasks"),
        drift_ms=options.pop("drift_ms"),
        warm_up_share=options.pop("warm_up") / 100,
    )


def _limit(name: str, default: float, help_text: str) -> click.Option:
    return click.Option(
        [f"--{name}"], type=click.FloatRange(0), default=default, help=help_text, show_default=True
    )


command = click.Command(
    NAME,
    callback=_soak,
    help=_soak.__doc__,
    context_settings={"show_default": True},
    params=[
        *_options(),
        _limit("memory-mib", _LIMITS.memory_kib / 1024, "Most MiB of growth an hour."),
        _limit("files", _LIMITS.files, "Most descriptors more an hour."),
        _limit("threads", _LIMITS.threads, "Most threads more an hour."),
        _limit("tasks", _LIMITS.tasks, "Most tasks more an hour."),
        _limit("drift-ms", _LIMITS.drift_ms, "Most ms an hour that a median latency may grow."),
        click.Option(
            ["--warm-up"],
            type=click.FloatRange(0, 80),
            default=_LIMITS.warm_up_share * 100,
            help="Per cent of the time at full load that are passed over.",
            show_default=True,
        ),
        click.Option(
            ["--tasks-url"],
            metavar="URL",
            help='A page of the bridge that answers {"tasks": NUMBER}.',
        ),
    ],
)
