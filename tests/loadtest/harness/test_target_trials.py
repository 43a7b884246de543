"""Capacity of any bridge: trials judged at full load, and bridges that die of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.harness.callers import read_callers
from loadtest.harness.capacity import target_capacity
from loadtest.harness.commands.capacity import finish
from loadtest.harness.figures import Latency
from loadtest.harness.gates import judge_all, parse_all
from loadtest.harness.meter import Now
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import Result, Second, SecondFigure
from loadtest.harness.search import SearchPlan, Trial
from loadtest.harness.surroundings import free_port
from loadtest.harness.target import Target, TargetError
from loadtest.harness.target_trials import TargetPlan, trial_of
from loadtest.scenarios.line import PERFECT
from tests.loadtest.harness.conftest import MakeResult

BRIDGE = Path(__file__).parent / "mortal_bridge.py"
STAYS = 'name = "stays"\n[[steps]]\ndo = "stay_on_line"\n'


# --- at full load -------------------------------------------------------------------------------


def second(at_s: float, calls_up: int, uplink_ms: float | None) -> Second:
    values = {} if uplink_ms is None else {"uplink": SecondFigure.of(Latency.of([uplink_ms] * 50))}
    return Second(at_s=at_s, calls_up=calls_up, turns=0, errors=0, ended=0, figures=values)


def now(at_s: float, calls_up: int, **counts: int) -> Now:
    return Now(at_s, calls_up, 0, 0, 0, {}, counts)


def ramped(make_result: MakeResult, *at_full: Second) -> Result:
    """Eight seconds of ramp with a quick bridge, then four calls up. Two calls failed in all."""
    ramp = [second(n + 0.001, min(4, n // 2), 2.0) for n in range(1, 9)]
    result = make_result(
        {"uplink": [2.0] * 500 + [100.0] * 20, "greeting": [30.0]},
        counts={"calls": 6, "calls_failed": 2, "frames": 0},
        series=(*ramp, *at_full, second(12.5, 0, None)),
    )
    gates = parse_all(["uplink.p95=50ms", "greeting.max=40ms", "calls_failed=1"])
    return result.model_copy(update={"gates": judge_all(gates, result)})


SLOW = [second(at_s, 4, 100.0) for at_s in (9.0, 10.0, 11.0, 12.0)]


def test_latencies_are_judged_from_the_moment_all_calls_are_up_and_counts_from_there(
    make_result: MakeResult,
) -> None:
    result = ramped(make_result, *SLOW)
    assert [gate.passed for gate in result.gates] == [True, True, False]
    trial = trial_of(4, result, now(8.0012, 4, calls=2, calls_failed=1))
    assert trial.complaints == ("uplink.p95=50ms: 100.031ms",)
    assert dict(trial.figures) == {
        "uplink.p95": 100.031,
        "greeting.max": 30.015,
        "calls_failed": 1.0,
    }


def test_a_trial_whose_calls_were_never_all_up_has_failed(make_result: MakeResult) -> None:
    trial = trial_of(5, ramped(make_result), None)
    assert trial.complaints[0] == "of 5 calls at most 4 were up at once"


def test_a_trial_whose_calls_do_not_stay_up_has_failed(make_result: MakeResult) -> None:
    fallen = [second(at_s, up, 2.0) for at_s, up in ((9.0, 4), (10.0, 3), (11.0, 3), (12.0, 3))]
    trial = trial_of(4, ramped(make_result, *fallen), now(8.0012, 4, calls_failed=2))
    assert trial.complaints == ("4 calls were up in 1 of 4 seconds only",)


# --- a bridge that dies -------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def mortal_bridge(*, again: bool) -> AsyncIterator[tuple[int, int]]:
    """Port and process of a bridge that dies of four calls, and is started again or not."""
    port = free_port()
    first = await begun(port)
    life = asyncio.create_task(kept_alive(first, port) if again else first.wait())
    try:
        yield port, first.pid
    finally:
        life.cancel()
        await asyncio.wait({life})
        with contextlib.suppress(ProcessLookupError):
            first.kill()
        await first.wait()


async def kept_alive(process: Process, port: int) -> None:
    while True:
        try:
            await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        process = await begun(port)


async def begun(port: int) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BRIDGE), str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    return process


def searching(tmp_path: Path, port: int, pid: int | None = None) -> TargetPlan:
    file = tmp_path / "stays.toml"
    file.write_text(STAYS)
    run = RunPlan(
        callers=read_callers([str(file)], [], None, PERFECT),
        target=Target("media", f"ws://127.0.0.1:{port}/media"),
        rate_per_s=20.0,
        realtime="none",
        step_s=0.5,
        gates=parse_all(["calls_failed=0"]),
        pid=pid,
        late_p99_ms=10_000.0,
    )
    return TargetPlan(run, SearchPlan(2, 4, 4), runs=1, window_s=2.0, back_within_s=10.0)


async def test_a_bridge_that_dies_under_load_and_comes_back_is_searched_to_the_end(
    tmp_path: Path,
) -> None:
    trials: list[Trial] = []
    async with mortal_bridge(again=True) as (port, pid):
        plan = replace(searching(tmp_path, port, pid), window_s=3.0)
        report = await target_capacity(plan, lambda _, trial: trials.append(trial))
    said = [(trial.calls, trial.passed) for trial in trials]
    assert said == [(2, True), (4, False), (4, False), (3, True)], trials
    assert (report.confidence.runs, report.partial, report.ended_early) == ((3,), False, "")


async def test_a_bridge_that_dies_and_stays_away_leaves_what_it_carried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "capacity.json"
    async with mortal_bridge(again=False) as (port, pid):
        plan = replace(searching(tmp_path, port, pid), back_within_s=1.0)
        report = await target_capacity(plan, lambda _, __: None)
    with pytest.raises(SystemExit) as ended:
        finish(report, out)
    assert ended.value.code == 2
    written = json.loads(out.read_text())
    assert (written["partial"], written["capacity"]["calls"]) == (True, 2)
    assert [one["passed"] for one in written["runs"][0]["trials"]] == [True, False]
    assert written["ended_early"].startswith("the bridge did not come back within 1 s: nobody")
    assert "2 calls in a single run" in capsys.readouterr().out


async def test_a_bridge_that_was_never_there_is_no_capacity(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="nobody takes connections"):
        await target_capacity(searching(tmp_path, free_port()), lambda _, __: None)
