"""A whole bench, small: systems started, led through levels, stopped; or not even started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest.bench.__main__ import main
from loadtest.bench.bench import Bench, BenchPlan
from loadtest.bench.figures import Level
from loadtest.bench.rig import Rig
from loadtest.bench.system import BRIDGE, CEILING, YARDSTICK, BenchError, Seats, System
from loadtest.bench.turns import TurnPlan

ANYWHERE = Seats(None, None)


def carried(level: Level) -> bool:
    """Every call, in whatever time: how fast this machine is today is no matter of a test."""
    return all(complaint.startswith("p99 too late") for complaint in level.complaints)


def test_runs_of_the_systems_are_interleaved_and_turn_round() -> None:
    plan = BenchPlan(("a", "b"), runs=3)
    assert list(plan.order()) == ["a", "b", "b", "a", "a", "b"]


async def test_every_system_is_measured_at_every_level(rig: Rig, tmp_path: Path) -> None:
    said: list[tuple[str, int]] = []

    def say(system: str, level: Level) -> None:
        said.append((system, level.seen.calls))

    plan = BenchPlan(
        (CEILING, YARDSTICK), runs=1, levels=(1, 2), search_steps=0, window_s=0.3, limit=4
    )
    runs = await Bench(plan, rig, ANYWHERE, tmp_path, say).run()
    assert [run.system for run in runs] == [CEILING, YARDSTICK]
    assert said[0] == (CEILING, 1)
    for run in runs:
        first = run.levels[0]
        assert first.seen.calls == 1
        assert first.cpu_share > 0
        assert first.rss_kib >= run.idle_rss_kib > 0


async def test_a_system_that_does_not_start_says_why(tmp_path: Path) -> None:
    environment = {"REALTIME_URL": ""}
    with pytest.raises(BenchError, match=r"picows ended with code 2(?s:.)*REALTIME_URL is needed"):
        async with System(CEILING, environment, ANYWHERE, tmp_path):
            pytest.fail("it started")


async def test_a_system_is_gone_when_its_block_is_left(rig: Rig, tmp_path: Path) -> None:
    environment = {"REALTIME_URL": rig.realtime_url}
    async with System(YARDSTICK, environment, ANYWHERE, tmp_path) as system:
        process_id = system.check_alive()
        os.kill(process_id, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--systems", "node"], "'node', expected some of bridge, bridge-no-record, "),
        (["--levels", "10,many"], "'10,many', expected whole numbers with commas between"),
        (["--levels", "0"], "'0', expected numbers of calls, at least 1"),
        (["--runs", "0"], "0 is not in the range 1<=x<=20"),
    ],
)
def test_a_bad_option_is_named_before_anything_starts(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, says in result.output) == (2, True)


async def test_levels_are_measured_again_while_calls_are_decided(rig: Rig, tmp_path: Path) -> None:
    plan = BenchPlan(
        (BRIDGE,), runs=1, levels=(2,), search_steps=0, window_s=3, decisions_per_second=4
    )
    (run,) = await Bench(plan, rig, ANYWHERE, tmp_path, lambda _system, _level: None).run()
    quiet, busy = run.levels
    assert (quiet.decided, busy.undecided) == (0, 0)
    assert busy.decided > 0
    assert busy.seen.calls == 2
    (kept,) = await asyncio.to_thread(lambda: list(tmp_path.glob("calls-*.db")))
    with contextlib.closing(sqlite3.connect(kept)) as database:
        (stored,) = database.execute("SELECT count(*) FROM decisions").fetchone()
    assert stored >= busy.decided


@pytest.mark.parametrize(
    ("name", "rows"), [(BRIDGE, True), ("bridge-no-record", False), ("bridge-no-guard", True)]
)
async def test_a_part_that_is_left_out_does_nothing(
    rig: Rig, tmp_path: Path, name: str, rows: bool
) -> None:
    plan = BenchPlan((name,), runs=1, levels=(2,), search_steps=0, window_s=3)
    (run,) = await Bench(plan, rig, ANYWHERE, tmp_path, lambda _system, _level: None).run()
    assert [carried(level) for level in run.levels] == [True]
    (kept,) = await asyncio.to_thread(lambda: list(tmp_path.glob("calls-*.db")))
    with contextlib.closing(sqlite3.connect(kept)) as database:
        (noted,) = database.execute("SELECT count(*) FROM timeline").fetchone()
    assert (noted > 0) == rows


async def test_a_model_may_write_nothing_down(tmp_path: Path) -> None:
    silent = Rig(TurnPlan(pause_ms=100, speech_ms=200, deltas=2, transcripts=False))
    await silent.start()
    try:
        plan = BenchPlan((BRIDGE,), runs=1, levels=(1,), search_steps=0, window_s=3)
        (run,) = await Bench(plan, silent, ANYWHERE, tmp_path, lambda _system, _level: None).run()
    finally:
        await silent.close()
    assert [carried(level) for level in run.levels] == [True]
    (kept,) = await asyncio.to_thread(lambda: list(tmp_path.glob("calls-*.db")))
    with contextlib.closing(sqlite3.connect(kept)) as database:
        kinds = {kind for (kind,) in database.execute("SELECT DISTINCT kind FROM timeline")}
    assert "caller_stopped" in kinds
    assert not kinds & {"caller_said", "assistant_said"}
