"""Whether one more call is taken: calls in progress, a late event loop, tokens, the breaker."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.protocol.realtime import RateLimit
from bridge.traffic.admission import Admitter
from bridge.traffic.breaker import PATIENCE, TRANSITIONS, Breaker, Circuit, Signal
from bridge.traffic.headroom import Headroom
from bridge.traffic.loop_delay import EVERY_S, SAMPLES, LoopDelay
from bridge.traffic.progress import EXPECTED_S, HOUR_S, Progress
from bridge.traffic_settings import BreakerSettings, TrafficSettings
from dispatch.rollout import Admission as Limits

ADA, BOB = "+14155550111", "+14155550122"
CARL = "+14155550133"
MODEL = "gpt-realtime-2.1"
SETTINGS = TrafficSettings(breaker=BreakerSettings(failures=3, open_s=10))
FEW = Limits(calls=3, calls_per_caller=1, calls_per_caller_and_hour=2)


def admitter(max_calls: int = 100) -> Admitter:
    return Admitter(SETTINGS, max_calls)


def ask(
    one: Admitter, number: int = 1, caller: str | None = ADA, now: float = 0.0, tenant: str = "acme"
) -> str | None:
    """As a voice webhook does: a call that is not refused is taken."""
    refused = one.refusal(tenant, MODEL, caller, FEW, now)
    if refused is None:
        one.taken(f"CA{number}", tenant, MODEL, caller, now)
    return refused


# --- calls in progress -----------------------------------------------------------------------


def test_a_process_takes_as_many_calls_as_it_may() -> None:
    one = admitter(max_calls=2)
    answers = [ask(one, number, caller=None, tenant=str(number)) for number in range(3)]
    assert answers == [None, None, "at_capacity"]


def test_a_tenant_has_a_limit_of_its_own() -> None:
    one = admitter()
    assert [ask(one, number, caller=None) for number in range(4)] == [
        None,
        None,
        None,
        "tenant_at_capacity",
    ]
    assert ask(one, 9, caller=None, tenant="other") is None
    one.progress.over("CA0")
    assert ask(one, 5, caller=None) is None


def test_a_caller_may_call_again_but_not_all_the_time() -> None:
    one = admitter()
    assert ask(one, 1, now=0.0) is None
    assert ask(one, 2, now=1.0) == "caller_busy"
    assert ask(one, 2, caller=BOB, now=1.0) is None
    one.progress.over("CA1")
    assert ask(one, 3, now=2.0) is None
    one.progress.over("CA3")
    assert ask(one, 4, now=3.0) == "caller_too_often"
    assert ask(one, 4, now=HOUR_S) is None


def test_callers_without_a_number_are_not_taken_for_one_caller() -> None:
    one = admitter()
    assert [ask(one, number, caller=None) for number in range(3)] == [None] * 3


def test_who_was_expected_and_never_came_makes_room() -> None:
    progress = Progress()
    progress.taken("CA1", "acme", ADA, 0.0)
    progress.taken("CA1", "acme", ADA, 1.0)
    progress.taken("CA2", "acme", BOB, 0.0)
    progress.begun("CA2", "acme", BOB)
    just_before, then = EXPECTED_S - 0.001, EXPECTED_S
    assert [progress.calls(now) for now in (0.0, just_before, then)] == [2, 2, 1]
    assert progress.of_caller("acme", ADA, then) == 0
    assert progress.within_the_hour("acme", ADA, then) == 1
    assert progress.of_tenant("acme", then) == 1


def test_a_call_that_another_process_took_counts_where_its_stream_is() -> None:
    progress = Progress()
    progress.begun("CA1", "acme", ADA)
    assert (progress.calls(10**6), progress.of_caller("acme", ADA, 10**6)) == (1, 1)
    progress.over("CA1")
    progress.over("CA1")
    assert (progress.calls(10**6), progress.of_caller("acme", ADA, 10**6)) == (0, 0)


def test_a_caller_is_remembered_for_an_hour_after_the_last_call_and_no_longer() -> None:
    progress = Progress()
    progress.taken("CA1", "acme", ADA, 0.0)
    progress.taken("CA2", "acme", BOB, 1.0)
    progress.taken("CA3", "acme", ADA, 60.0)
    progress.taken("CA4", "acme", CARL, HOUR_S)
    assert progress.callers_remembered == 3
    progress.taken("CA5", "acme", CARL, HOUR_S + 1.0)
    assert progress.callers_remembered == 2
    progress.taken("CA6", "acme", CARL, HOUR_S + 60.0)
    assert progress.callers_remembered == 1
    assert progress.within_the_hour("acme", CARL, HOUR_S + 60.0) == 3


steps = st.lists(
    st.tuples(
        st.sampled_from(["taken", "begun", "over"]),
        st.integers(0, 5),
        st.sampled_from([ADA, BOB, None]),
        st.floats(0, 20),
    ),
    max_size=40,
)


@given(steps)
def test_whatever_happens_the_counts_are_those_of_the_calls(
    given_steps: list[tuple[str, int, str | None, float]],
) -> None:
    progress, now = Progress(), 0.0
    for what, number, caller, later in given_steps:
        now += later
        call_sid = f"CA{number}"
        match what:
            case "taken":
                progress.taken(call_sid, "acme", caller, now)
            case "begun":
                progress.begun(call_sid, "acme", caller)
            case _:
                progress.over(call_sid)
        whole = progress.calls(now)
        named = sum(progress.of_caller("acme", who, now) for who in (ADA, BOB))
        assert whole == progress.of_tenant("acme", now)
        assert 0 <= named <= whole <= 6


# --- the event loop --------------------------------------------------------------------------


def test_one_hiccup_turns_nobody_away_and_a_late_loop_does() -> None:
    one = admitter()
    for _ in range(SAMPLES):
        one.loop_delay.add(1.0)
    one.loop_delay.add(1500.0)
    assert ask(one) is None
    one.loop_delay.add(600.0)
    assert ask(one, 2, caller=BOB) == "event_loop_late"
    for _ in range(SAMPLES):
        one.loop_delay.add(1.0)
    assert ask(one, 2, caller=BOB) is None


def test_too_few_measurements_say_nothing() -> None:
    delay = LoopDelay()
    for _ in range(SAMPLES - 1):
        delay.add(5000.0)
    assert delay.mean_ms == 0.0


async def test_the_loop_is_measured_while_it_is_held_up() -> None:
    """Held up on purpose for longer than the limit, again and again."""
    delay = LoopDelay()
    task = asyncio.create_task(delay.run())
    loop = asyncio.get_running_loop()
    for _ in range(SAMPLES + 1):
        held_until = loop.time() + EVERY_S * 2
        while loop.time() < held_until:
            pass
        await asyncio.sleep(0.001)
    task.cancel()
    assert delay.mean_ms > EVERY_S * 500


# --- the model's tokens ----------------------------------------------------------------------


def tokens(remaining: int, limit: int = 40_000, reset_seconds: float = 60.0) -> RateLimit:
    return RateLimit("tokens", limit, remaining, reset_seconds)


def test_until_the_model_has_told_there_is_room() -> None:
    headroom = Headroom(10, 2000)
    headroom.updated([RateLimit("requests", 10, 0, 60.0)], 0.0)
    assert (headroom.left(0.0), headroom.has_room(0.0)) == (None, True)


def test_a_reserve_is_left_alone_and_refills() -> None:
    headroom = Headroom(10, 2000)
    headroom.updated([tokens(5999)], 100.0)
    assert not headroom.has_room(100.0)
    headroom.updated([tokens(6000)], 100.0)
    assert headroom.has_room(100.0)
    headroom.updated([tokens(0)], 100.0)
    assert [headroom.left(at) for at in (100.0, 130.0, 160.0, 1000.0)] == [
        0.0,
        20_000.0,
        40_000.0,
        40_000.0,
    ]


def test_calls_that_were_just_taken_count_until_the_model_tells_again() -> None:
    headroom = Headroom(10, 2000)
    headroom.updated([tokens(10_000, reset_seconds=1e9)], 0.0)
    rooms = []
    for _ in range(4):
        rooms.append(headroom.has_room(0.0))
        headroom.begun()
    assert rooms == [True, True, True, False]
    headroom.updated([tokens(10_000)], 5.0)
    assert headroom.has_room(5.0)


def test_without_tokens_calls_go_to_todays_flow() -> None:
    one = admitter()
    one.rate_limits(MODEL, (tokens(100),), 0.0)
    assert ask(one) == "model_rate_limit"
    assert ask(one, now=60.0) is None


# --- the breaker -----------------------------------------------------------------------------


def test_only_failures_in_a_row_open_the_circuit() -> None:
    breaker = Breaker(SETTINGS.breaker)
    for _ in range(5):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.connected(0.0)
    assert breaker.circuit is Circuit.CLOSED
    for _ in range(3):
        breaker.failed(1.0)
    assert (breaker.circuit, breaker.admits(10.999)) == (Circuit.OPEN, False)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(SETTINGS.breaker)
    for _ in range(3):
        breaker.failed(at)
    return breaker


def test_after_a_while_one_call_tries() -> None:
    breaker = opened()
    assert [breaker.admits(now) for now in (9.9, 10.0, 10.1, 19.9)] == [False, True, False, False]
    breaker.connected(20.0)
    assert (breaker.circuit, breaker.admits(20.0)) == (Circuit.CLOSED, True)


def test_a_failed_try_opens_it_again_at_once() -> None:
    breaker = opened()
    assert breaker.admits(10.0)
    breaker.failed(11.0)
    assert (breaker.circuit, breaker.admits(20.9), breaker.admits(21.0)) == (
        Circuit.OPEN,
        False,
        True,
    )


def test_a_try_whose_caller_never_came_is_followed_by_another() -> None:
    breaker = opened()
    assert [breaker.admits(now) for now in (10.0, 15.0, 20.0)] == [True, False, True]


def test_where_a_pool_tries_callers_wait_longer_and_its_success_is_enough() -> None:
    breaker = Breaker(SETTINGS.breaker, tried_elsewhere=True)
    for _ in range(3):
        breaker.failed(0.0)
    assert [breaker.admits(now) for now in (10.0 * PATIENCE - 1, 10.0 * PATIENCE)] == [False, True]
    for _ in range(3):
        breaker.failed(50.0)
    breaker.connected(51.0)
    assert breaker.admits(51.0)


@pytest.mark.parametrize("circuit", Circuit)
@pytest.mark.parametrize("signal", Signal)
def test_the_table_is_closed(circuit: Circuit, signal: Signal) -> None:
    """Whatever it leads to is a state that something leads out of again."""
    following = TRANSITIONS.get((circuit, signal), circuit)
    assert any(state is following for state, _ in TRANSITIONS)


def test_the_breaker_is_each_tenants_own_and_asked_last() -> None:
    one = admitter(max_calls=1)
    for _ in range(3):
        one.breaker("acme").failed(0.0)
    assert ask(one) == "model_unreachable"
    assert ask(one, 2, tenant="other") is None
    assert ask(one, 3, now=10.0) == "at_capacity"
    one.progress.over("CA2")
    assert ask(one, 3, now=10.0) is None
