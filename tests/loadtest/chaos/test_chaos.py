"""Short runs of chaos through real processes; and what the draws and the judgement hold."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.chaos import spoken_lines
from loadtest.chaos.plan import EVERY_FAULT, PROCESS, CallPlan, draw_call
from loadtest.chaos.run import Wanted, run
from loadtest.chaos.system import Held, ServingProcesses
from loadtest.chaos.verdict import faults_of_call, left_behind, silences_ms
from loadtest.twilio import CallEvent, CallResult, SimulatedTwilio
from loadtest.twilio.outcomes import CallerHungUp, FlexTask, Outcome, StudioReturn

SEED = 7


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"GREETING_CACHE": str(spoken_lines(tmp_path / "lines"))}


async def test_no_call_is_lost_whatever_breaks(tmp_path: Path, environ: dict[str, str]) -> None:
    said: list[str] = []
    wanted = Wanted(SEED, calls=30, at_once=30, begun_each_ms=100)
    report = await run(wanted, tmp_path, environ, said.append)
    assert (report.broken, report.left) == ({}, [])
    assert sum(report.outcomes.values()) == wanted.calls
    assert len(report.happened) > 5


async def test_a_rolling_restart_under_a_hundred_calls_loses_none(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """Each worker is replaced while a hundred callers are in conversation."""
    rolled: list[int] = []

    async def roll(system: ServingProcesses, twilio: SimulatedTwilio) -> None:
        async with asyncio.timeout(60):
            while twilio.live_calls < 100:  # noqa: ASYNC110 - other programs tell nobody
                await asyncio.sleep(0.05)
            before = system.worker_pids()
            system.tell(system.pid, signal.SIGHUP)
            while not list(system.logged("rolled")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        rolled.extend(before)
        assert twilio.live_calls > 0, "it was over before the last caller left"

    wanted = Wanted(SEED, calls=100, at_once=100, begun_each_ms=20, faults=False, think_ms=6000)
    said: list[str] = []
    report = await run(wanted, tmp_path, environ | {"DRAIN_S": "60"}, said.append, roll)
    assert (report.broken, report.left, len(rolled)) == ({}, [], 2)
    assert report.outcomes == Counter(StudioReturn=34, StudioTrigger=33, FlexTask=33)


# --- the draws --------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), number=st.integers(0, 10**4))
def test_a_call_can_be_drawn_again_by_itself(seed: int, number: int) -> None:
    assert draw_call(seed, number) == draw_call(seed, number)


@given(seed=st.integers(0, 10**6), number=st.integers(0, 10**4))
def test_leaving_processes_in_peace_changes_nothing_else(seed: int, number: int) -> None:
    calm = draw_call(seed, number, process_faults=False)
    rest = tuple(one for one in draw_call(seed, number).faults if one.kind not in PROCESS)
    assert calm.faults == rest


def test_every_fault_comes_up_within_a_thousand_calls() -> None:
    drawn = {fault.kind for number in range(1000) for fault in draw_call(SEED, number).faults}
    assert drawn == set(EVERY_FAULT)


# --- the judgement ----------------------------------------------------------------------------

CALM = CallPlan(1, ())
BACK = StudioReturn("FW1", {})
TASK = FlexTask("WT1", "WW1", {}, {}, 0, 60, "bridged")


def result(*outcomes: Outcome, timeline: tuple[CallEvent, ...] = ()) -> CallResult:
    return CallResult("CA1", outcomes, (), timeline, (), (), None, 1000)


def event(kind: str, at_ms: int, **data: object) -> CallEvent:
    return CallEvent(kind, at_ms, at_ms / 1000, "CA1", data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcomes", "found"),
    [
        ((BACK,), []),
        ((TASK, CallerHungUp("hung up")), []),
        ((TASK, BACK), ["handed over 2 times: FlexTask, StudioReturn"]),
        (
            (CallerHungUp("time over"),),
            ["arrived nowhere: CallerHungUp CallerHungUp(reason='time over')"],
        ),
    ],
)
def test_a_call_arrives_once(outcomes: tuple[Outcome, ...], found: list[str]) -> None:
    assert faults_of_call(CALM, result(*outcomes), 0) == found


def test_silence_counts_while_the_caller_waits_for_us() -> None:
    timeline = (
        event("stream_started", 0),
        event("assistant_started", 400),
        event("assistant_stopped", 900),
        event("caller_speech_started", 5000),
        event("caller_speech_ended", 6000),
        event("assistant_started", 9200),
        event("assistant_stopped", 9900),
        event("stream_closed", 10_000),
        event("outcome", 10_150),
    )
    assert silences_ms(timeline) == [400, 3200, 150]
    assert faults_of_call(CALM, result(BACK, timeline=timeline), 100) == [
        "the caller heard nothing for 3200 ms"
    ]
    assert faults_of_call(CALM, result(BACK, timeline=timeline), 250) == []


def test_what_a_worker_still_holds_is_named() -> None:
    fresh = {1: Held(5, 20, 1000)}
    assert left_behind(fresh, fresh, {1: Held(5, 30, 2000)}) == []
    assert left_behind(fresh, fresh, {1: Held(6, 60, 90_000)}) == [
        "worker 1 holds 6 sockets, a fresh one 5",
        "worker 1 holds 60 files, a fresh one 20",
        "worker 1 grew from 1000 to 90000 KiB",
    ]
