"""Whole runs on real sockets: against our own bridge in its own process, and against others'."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from loadtest.harness.callers import read_callers
from loadtest.harness.degrade import parse_degradation
from loadtest.harness.engine import NO_CALL, RunError, run
from loadtest.harness.gates import parse_all
from loadtest.harness.plan import OwnBridge, RunPlan
from loadtest.harness.report import write_html
from loadtest.harness.report.verdict import verdict_of
from loadtest.harness.result import Result
from loadtest.harness.serving import ServingError
from loadtest.harness.surroundings import free_port
from loadtest.harness.target import Target
from loadtest.scenarios.line import PERFECT

SHORT = """
name = "short"
[expect]
intent = "billing"
outcome = ["hangup", "flex"]
[[steps]]
do = "wait"
ms = 300
[[steps]]
do = "speak"
call = "billing"
turn = 2
[[steps]]
do = "wait_until_assistant_silent"
after_ms = 300
[[steps]]
do = "hang_up"
"""


def own_plan(tmp_path: Path, own: OwnBridge, **changes: object) -> RunPlan:
    """Three short calls at once, with a quick model."""
    file = tmp_path / "short.toml"
    file.write_text(SHORT)
    given: dict[str, object] = {
        "callers": read_callers([str(file)], [], None, PERFECT),
        "own_bridge": own,
        "calls": 3,
        "for_s": 7.0,
        "rate_per_s": 20.0,
        "profile": "fast",
        "step_s": 0.5,
    }
    return RunPlan(**{**given, **changes})  # type: ignore[arg-type]


def foreign_plan(tmp_path: Path, port: int, **changes: object) -> RunPlan:
    target = Target("media", f"ws://127.0.0.1:{port}/media")
    given = {"own_bridge": None, "target": target, "realtime": "none", **changes}
    return own_plan(tmp_path, OwnBridge(), **given)


@contextlib.asynccontextmanager
async def bridge_that(
    does: str, *, code: int = 1000, reason: str = "", after_s: float = 0.0
) -> AsyncIterator[tuple[int, list[int]]]:
    """Somebody else's bridge: ``closes`` after ``after_s``, or ``listens`` and says nothing."""
    heard: list[int] = []

    async def serve_one(connection: ServerConnection) -> None:
        heard.append(0)
        place = len(heard) - 1
        if does == "closes":
            await asyncio.sleep(after_s)
            await connection.close(code, reason)
        async for _ in connection:
            heard[place] += 1

    async with serve(serve_one, "127.0.0.1", 0) as server:
        yield next(iter(server.sockets)).getsockname()[1], heard


@contextlib.asynccontextmanager
async def bridge_with_room(places: int, *, code: int | None = 1000) -> AsyncIterator[int]:
    """Keeps so many calls, says nothing to them, and lets go of others at once."""
    up = 0

    async def serve_one(connection: ServerConnection) -> None:
        nonlocal up
        if up == places:
            connection.protocol.send_close(code)
            connection.send_data()
            return
        up += 1
        try:
            async for _ in connection:
                pass
        finally:
            up -= 1

    async with serve(serve_one, "127.0.0.1", 0) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@contextlib.asynccontextmanager
async def bridge_that_needs_the_model(realtime_port: int) -> AsyncIterator[int]:
    """Closes every stream until a connection of its own to the model is up, as a pool would."""
    ready = asyncio.Event()

    async def look_for_the_model() -> None:
        await asyncio.sleep(1)  # the first call of a run that does not wait comes before
        while not ready.is_set():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", realtime_port)
                writer.close()
                ready.set()
            await asyncio.sleep(0.2)

    async def serve_one(connection: ServerConnection) -> None:
        if not ready.is_set():
            await connection.close(1013, "no session")
        async for _ in connection:
            pass

    looking = asyncio.create_task(look_for_the_model())
    try:
        async with serve(serve_one, "127.0.0.1", 0) as server:
            yield next(iter(server.sockets)).getsockname()[1]
    finally:
        looking.cancel()


async def test_a_bridge_that_keeps_sessions_ready_is_given_time_to_find_the_model(
    tmp_path: Path,
) -> None:
    realtime_port = free_port()
    async with bridge_that_needs_the_model(realtime_port) as port:
        changes = {"realtime": "simulated", "realtime_port": realtime_port, "settle_s": 2.0}
        result = await run(foreign_plan(tmp_path, port, **changes, for_s=2.0))
    assert result.counts["calls"] == 3
    assert not any("no session" in error for error in result.errors)


BUSY_AT_FIRST = """
import socket, sys, time
while True:
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.02)
while time.process_time() < 0.5:
    pass
sys.stdin.read()
"""


async def test_what_a_bridge_uses_while_it_settles_is_no_cost_of_calls(tmp_path: Path) -> None:
    realtime_port = free_port()
    busy = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BUSY_AT_FIRST, str(realtime_port)), stdin=asyncio.subprocess.PIPE
    )
    changes = {"realtime": "simulated", "realtime_port": realtime_port, "settle_s": 5.0}
    try:
        async with bridge_that("listens") as (port, _):
            result = await run(foreign_plan(tmp_path, port, **changes, for_s=1.5, pid=busy.pid))
    finally:
        busy.kill()
        await busy.wait()
    assert result.process is not None
    assert result.process.series[0].cpu_share < 0.1
    assert (result.process.cpu_us_per_frame or 0.0) * result.counts["frames"] < 100_000


async def test_two_runs_with_one_seed_are_different_calls(tmp_path: Path) -> None:
    """A bridge with a ledger would answer the second run with what it decided in the first."""
    sids: list[str] = []

    async def note_the_sid(connection: ServerConnection) -> None:
        async for message in connection:
            event = json.loads(message)
            if event["event"] == "start":
                sids.append(event["start"]["callSid"])

    async with serve(note_the_sid, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        for _ in range(2):
            await run(foreign_plan(tmp_path, port, seed=7, for_s=1.0))
    assert len(sids) == len(set(sids)) == 6


async def test_a_stop_while_a_bridge_settles_ends_the_run(tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    async with bridge_that("listens") as (port, _), asyncio.timeout(30):
        result = await run(foreign_plan(tmp_path, port, settle_s=600.0, for_s=300.0), stop=stop)
    assert result.partial
    assert (result.figures, result.counts, result.notes) == ({}, {}, (NO_CALL,))
    assert verdict_of(result).headline == "Partial run. No call was placed"
    write_html(result, tmp_path / "run.html")
    assert NO_CALL in (tmp_path / "run.html").read_text(encoding="utf-8")


async def test_a_run_through_the_webhook_of_our_own_bridge_loses_nothing(tmp_path: Path) -> None:
    steps: list[float] = []
    gates = parse_all(["lost_frames=0", "first_audio_out.p95=5s", "calls_failed=0"])
    plan = own_plan(tmp_path, OwnBridge("voice"), gates=gates)
    result = await run(plan, lambda now: steps.append(now.at_s))
    assert_complete(result)
    assert {"setup", "greeting", "first_model_audio", "uplink", "downlink"} <= set(result.figures)
    assert [(gate.figure, gate.passed) for gate in result.gates] == [
        ("lost_frames", True),
        ("first_audio_out.p95", True),
        ("calls_failed", True),
    ]
    assert [second.at_s for second in result.series] == [round(at_s, 3) for at_s in steps]
    assert result.process is not None
    assert result.process.cpu_us_per_frame
    assert all(turn.call.startswith("CA") for turn in result.turns)


def assert_complete(result: Result) -> None:
    counts = result.counts
    assert counts["calls"] >= 3
    assert counts["turns"] >= 3
    assert counts["frames"] > 500
    clean = ("calls_failed", "lost_frames", "duplicate_frames", "reordered_frames", "misrouted")
    faults = ("unmarked_answers", "lost_audio_ms", "clipped_starts", "clipped_ends")
    assert {name: counts[name] for name in (*clean, *faults)} == dict.fromkeys((*clean, *faults), 0)
    assert result.figures["uplink"].count <= counts["frames"]
    assert result.errors == {}
    assert not result.partial
    waterfall = result.turns[0]
    moments = [
        waterfall.uplink_ms,
        waterfall.speech_stopped_ms,
        waterfall.first_model_audio_ms,
        waterfall.first_audio_sent_ms,
        waterfall.first_audio_out_ms,
    ]
    assert None not in moments
    assert moments == sorted(moments, key=lambda at: at or 0.0)


async def test_frames_and_marks_that_a_connection_eats_are_counted_by_their_own_figures(
    tmp_path: Path,
) -> None:
    degradation = parse_degradation(["drop.uplink=1/50", "forget-marks"])
    plan = own_plan(tmp_path, OwnBridge("media"), degradation=degradation)
    counts = (await run(plan)).counts
    eaten = counts["lost_frames"] / counts["frames"]
    assert eaten == pytest.approx(1 / 50, rel=0.15)
    assert counts["unmarked_answers"] > 0
    assert (counts["lost_audio_ms"], counts["duplicate_frames"]) == (0, 0)


async def test_a_run_that_is_stopped_has_a_partial_result_with_what_there_was(
    tmp_path: Path,
) -> None:
    stop = asyncio.Event()
    async with bridge_that("listens") as (port, heard):
        plan = foreign_plan(tmp_path, port, for_s=60.0)
        result = await run(plan, lambda now: stop.set() if now.calls_up == 3 else None, stop)
    assert result.partial
    assert result.seconds < 20
    assert result.counts["calls_cut"] == result.counts["calls"] == 3
    assert len(heard) == 3


async def test_a_bridge_without_our_model_is_judged_by_what_is_heard(tmp_path: Path) -> None:
    async with bridge_that("listens") as (port, heard):
        result = await run(foreign_plan(tmp_path, port, for_s=2.0))
    assert "uplink" not in result.figures
    assert "lost_frames" not in result.counts
    # connected, start, media and stop: everything that was sent has arrived
    assert sum(heard) == result.counts["frames"] + 3 * len(heard)
    assert result.counts["answers"] == 0


async def test_a_model_that_nobody_reaches_is_told_with_its_address(tmp_path: Path) -> None:
    async with bridge_that("listens") as (port, _):
        plan = foreign_plan(tmp_path, port, for_s=1.5, realtime="simulated", realtime_port=0)
        result = await run(plan)
    assert "lost_frames" not in result.counts
    (note,) = result.notes
    assert note.startswith("no session reached the simulated model: does the bridge have REALTIME")


async def test_a_bridge_that_closes_at_once_ends_the_run_with_how(tmp_path: Path) -> None:
    async with bridge_that("closes", code=1008, reason="go away") as (port, heard):
        plan = foreign_plan(tmp_path, port, for_s=60.0)
        with pytest.raises(RunError, match=r"the first 3 calls all ended at once: .* 1008 go away"):
            await run(plan)
    assert len(heard) == 3


async def test_calls_that_end_at_once_end_the_run_though_some_are_always_up(tmp_path: Path) -> None:
    async with bridge_that("closes", after_s=0.3) as (port, _):
        plan = foreign_plan(tmp_path, port, calls=12, rate_per_s=10.0, for_s=60.0)
        with pytest.raises(RunError, match=r"the first 1\d calls all ended at once: .* with 1000"):
            await run(plan)


@pytest.mark.parametrize(("code", "told"), [(1000, 1000), (None, 1005)], ids=["1000", "none"])
async def test_callers_whom_a_full_bridge_lets_go_politely_are_failed_calls(
    tmp_path: Path, code: int | None, told: int
) -> None:
    async with bridge_with_room(2, code=code) as port:
        plan = foreign_plan(tmp_path, port, for_s=3.5, gates=parse_all(["calls_failed=0"]))
        result = await run(plan)
    failed = result.counts["calls_failed"]
    assert failed >= 2
    assert result.errors == {f"stream closed with {told} before the caller heard anything": failed}
    assert not result.gates_passed


async def test_calls_end_and_others_follow_in_their_places_up_to_the_bound(tmp_path: Path) -> None:
    file = tmp_path / "brief.toml"
    file.write_text('name = "b"\n[[steps]]\ndo = "wait"\nms = 100\n[[steps]]\ndo = "hang_up"\n')
    callers = read_callers([str(file)], [], None, PERFECT)
    async with bridge_that("listens") as (port, heard):
        plan = foreign_plan(tmp_path, port, for_s=2.5, callers=callers, most_calls=12)
        result = await run(plan)
    assert result.counts["calls"] == len(heard) == 12
    assert result.outcomes == {"caller hung up (caller)": 12}


async def test_arrivals_that_find_no_place_are_counted(tmp_path: Path) -> None:
    async with bridge_that("listens") as (port, _):
        plan = foreign_plan(tmp_path, port, for_s=1.0, arrival="steady", calls=2, rate_per_s=10.0)
        result = await run(plan)
    assert result.counts["calls"] == 2
    assert result.counts["not_placed"] == 8


async def test_a_bridge_of_ours_that_cannot_start_shows_its_last_words(tmp_path: Path) -> None:
    own = OwnBridge(environ={"TRIAGE_FILE": str(tmp_path / "none.toml")})
    with pytest.raises(ServingError, match=r"(?s)did not start; its last words:\n.*none\.toml"):
        await run(own_plan(tmp_path, own))
