"""Short runs of chaos through real processes; and what the draws and the judgement hold."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.chaos import spoken_lines
from loadtest.chaos.lateness import Lateness
from loadtest.chaos.plan import EVERY_FAULT, PROCESS, CallPlan, draw_call
from loadtest.chaos.run import TRIAGE_FILE, Report, Wanted, run
from loadtest.chaos.system import Held, ServingProcesses, entry_in
from loadtest.chaos.verdict import faults_of_call, left_behind, waits
from loadtest.twilio import CallEvent, CallResult, SimulatedTwilio, WaitFor
from loadtest.twilio.outcomes import CallerHungUp, FlexTask, Outcome, StudioReturn
from loadtest.twilio.stream_report import StreamReport

SEED = 7
ROLLED_WITHIN_S = 60
"""By then the bridge would ask a silent caller whether anybody is there."""


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
    """Both workers are replaced while a hundred callers are in conversation: none of them says the
    second sentence before."""
    rolled = asyncio.Event()
    before: list[int] = []

    async def roll(system: ServingProcesses, twilio: SimulatedTwilio) -> None:
        async with asyncio.timeout(ROLLED_WITHIN_S):
            while twilio.live_calls < 100:  # noqa: ASYNC110 - other programs tell nobody
                await asyncio.sleep(0.05)
            before.extend(system.worker_pids())
            system.tell(system.pid, signal.SIGHUP)
            while not list(system.logged("rolled")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert twilio.live_calls == wanted.calls
        assert not set(before) & set(system.serving_pids())
        rolled.set()

    think = WaitFor(rolled, 1000 * ROLLED_WITHIN_S)
    wanted = Wanted(SEED, calls=100, at_once=100, begun_each_ms=20, faults=False, think=think)
    patient = tmp_path / "triage.toml"
    limits = "decide_within_s = 20\nlongest_call_s = 30"
    text = TRIAGE_FILE.read_text("utf-8")
    assert limits in text
    long = "decide_within_s = 300\nlongest_call_s = 300\nsilence_s = 60"
    patient.write_text(text.replace(limits, long), "utf-8")
    environ |= {"DRAIN_S": "300", "TRIAGE_FILE": str(patient), "ANSWER_WAIT_S": "10"}
    said: list[str] = []
    report = await run(wanted, tmp_path, environ, said.append, roll)
    assert (report.broken, report.left, len(before)) == ({}, [], 2)
    # How many each: a machine that stands still for seconds makes today's flow of some.
    assert report.outcomes.total() == wanted.calls
    assert set(report.outcomes) == {"StudioReturn", "StudioTrigger", "FlexTask"}


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


def on_time(_begin: float, _end: float) -> float:
    return 0.0


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
    assert faults_of_call(CALM, result(*outcomes), on_time) == found


def waited(*events: CallEvent) -> list[tuple[int, int]]:
    return [(round(one.begin * 1000), round(one.end * 1000)) for one in waits(events)]


def test_silence_counts_while_the_caller_waits_for_us() -> None:
    timeline = (
        event("stream_opening", 0),
        event("stream_started", 100),
        event("assistant_started", 400),
        event("assistant_stopped", 900),
        event("caller_speech_started", 5000),
        event("caller_speech_ended", 6000),
        event("assistant_started", 9200),
        event("assistant_stopped", 10_700),
        event("stream_closed", 15_000),
        event("outcome", 15_150),
    )
    assert waited(*timeline) == [(0, 400), (6000, 9200), (15_000, 15_150)]
    slow = ["the caller heard nothing for 3200 ms, from 6000 ms on"]
    calls = result(BACK, timeline=timeline)
    assert faults_of_call(CALM, calls, on_time) == slow
    assert faults_of_call(CALM, calls, lambda begin, end: 200.0) == []
    assert faults_of_call(CALM, calls, lambda begin, end: 199.0) == slow


def test_a_hold_line_or_half_a_sentence_leave_the_caller_waiting() -> None:
    assert waited(
        event("caller_speech_started", 0),
        event("caller_speech_ended", 1000),
        event("assistant_started", 3500),
        event("assistant_stopped", 3900),
        event("assistant_started", 5000),
        event("assistant_stopped", 6000),
        event("call_ended", 30_000),
    ) == [(1000, 3500), (3900, 5000), (6000, 30_000)]


def test_behind_a_whole_sentence_it_is_the_callers_turn() -> None:
    assert waited(
        event("caller_speech_started", 0),
        event("caller_speech_ended", 1000),
        event("assistant_started", 1500),
        event("assistant_stopped", 3000),
        event("call_ended", 30_000),
    ) == [(1000, 1500)]


@pytest.mark.parametrize("verb", ["Connect", "Redirect"])
def test_a_verb_that_says_nothing_ends_no_silence(verb: str) -> None:
    assert waited(
        event("stream_closed", 0), event("verb", 100, verb=verb), event("verb", 300, verb="Say")
    ) == [(0, 300)]


def test_a_call_with_a_stream_and_nothing_to_judge_is_not_taken_for_well() -> None:
    stream = StreamReport("MZ1", "wss://x", {}, started=0.0)
    stream.ended = 1.0
    odd = replace(result(BACK), streams=(stream,))
    assert faults_of_call(CALM, odd, on_time) == ["nothing shows how long the caller waited"]


def test_only_what_the_machine_lost_meanwhile_is_forgiven() -> None:
    late = Lateness()
    for until, late_ms in ((10.0, 300.0), (11.0, 4.0), (12.0, 200.0), (20.0, 5000.0)):
        late.add(until, late_ms)
    assert [late.between(9, 13), late.between(10.5, 13), late.between(13, 19)] == [500, 200, 0]
    assert late.worst_ms == 5000


def test_a_run_on_a_machine_without_time_is_no_verdict() -> None:
    assert Report(waits=[100] * 100, forgiven=5).held
    assert not Report(waits=[100] * 100, forgiven=6).held


def test_what_a_worker_still_holds_is_named() -> None:
    fresh = {1: Held(5, 20, 1000)}
    assert left_behind(fresh, fresh, {1: Held(5, 30, 2000)}) == []
    assert left_behind(fresh, fresh, {1: Held(6, 60, 90_000)}) == [
        "worker 1 holds 6 sockets, a fresh one 5",
        "worker 1 holds 60 files, a fresh one 20",
        "worker 1 grew from 1000 to 90000 KiB",
    ]


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ('{"pid": 7, "event": "ready"}', {"pid": 7, "event": "ready"}),
        ('{"pid": 6, "even{"pid": 7, "event": "ready"}', {"pid": 7, "event": "ready"}),
        ('{"pid": 7, "event": ', {}),
        ("Traceback (most recent call last):", {}),
        ("", {}),
    ],
    ids=["whole", "behind one of a process that was killed", "not all of it yet", "text", "empty"],
)
def test_logs_are_read_though_processes_die_as_they_write(
    line: str, entry: dict[str, object]
) -> None:
    assert entry_in(line) == entry
