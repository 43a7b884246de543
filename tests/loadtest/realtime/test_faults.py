"""What goes wrong on purpose: planned, scripted, or at run time."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import orjson
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from loadtest.realtime import Cut, FaultPlan, SimulatedRealtime, SimulatorOptions
from loadtest.realtime.script import CallerTurn
from tests.loadtest.realtime.conftest import (
    FAST,
    INSTANT,
    bench,
    connected,
    telephone_settings,
)


def with_faults(**faults: object) -> SimulatorOptions:
    return replace(INSTANT, faults=replace(FaultPlan(), **faults))  # type: ignore[arg-type]


async def test_a_refused_configuration_is_told_and_changes_nothing() -> None:
    async with (
        SimulatedRealtime(with_faults(refuse_configuration=True)) as server,
        connected(server) as client,
    ):
        await client.until("session.created")
        await client.send("session.update", session=telephone_settings())
        error = await client.until("error")
    assert error["error"]["code"] == "invalid_value"
    assert client.all("session.updated") == []


def test_a_slow_server_takes_its_time_to_create_and_to_configure() -> None:
    faults = FaultPlan(create_delay_ms=4000, configure_delay_ms=3000)
    slow = bench(faults=faults)
    slow.send("session.update", session=telephone_settings())
    slow.clock.advance(10)
    assert slow.at("session.created") == [1004.0]
    assert slow.at("session.updated") == [1007.0]


@pytest.mark.parametrize("code", ["inference_rate_limit_exceeded", "server_error"])
async def test_the_nth_response_fails_and_asked_again_it_comes(code: str) -> None:
    options = replace(with_faults(fail_responses={1: code}), scenario="faq")
    async with SimulatedRealtime(options) as server, connected(server) as client:
        await client.configure()
        await client.talk()
        failed = await client.until("response.done")
        await client.send("response.create")
        retried = await client.until("response.done")
        responses = server.sessions[0].responses
    assert failed["response"]["status_details"]["error"]["code"] == code
    assert client.all("error") == []
    assert retried["response"]["output"][0]["content"][0]["transcript"].startswith("We are open")
    assert [(r.trigger, r.status, r.reason) for r in responses] == [
        (CallerTurn(1), "failed", code),
        (CallerTurn(1), "completed", None),
    ]


async def test_a_scripted_failure_is_followed_by_what_comes_after_it() -> None:
    async with (
        SimulatedRealtime(replace(INSTANT, scenario="rate_limited")) as server,
        connected(server) as client,
    ):
        await client.configure()
        await client.talk()
        failed = await client.until("response.done")
        await client.send("response.create")
        retried = await client.until("response.done")
    assert [failed["response"]["status"], retried["response"]["status"]] == ["failed", "completed"]


async def test_the_next_response_fails_on_demand() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        record = await server.session()
        server.controls(record).fail_next_response("server_error")
        statuses = []
        for _ in range(2):
            await client.talk()
            statuses.append((await client.until("response.done"))["response"]["status"])
    assert statuses == ["failed", "completed"]


def test_an_answer_stands_still_and_goes_on() -> None:
    stalling = bench("stalling", "fast")
    stalling.clock.advance(1)
    stalling.send("session.update", session=telephone_settings())
    stalling.clock.advance(1)
    stalling.talk()
    stalling.clock.advance(30)
    times = stalling.at("response.output_audio.delta")
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) >= 3
    assert sorted(gaps)[-2] < 0.5
    assert [e["response"]["status"] for e in stalling.all("response.done")] == ["completed"]


def test_a_planned_stall_lasts_until_the_client_cancels() -> None:
    stalling = bench("long_answer", "fast", faults=FaultPlan(stall_responses={1: 1000}))
    stalling.clock.advance(1)
    stalling.send("session.update", session=telephone_settings())
    stalling.clock.advance(1)
    stalling.talk()
    stalling.clock.advance(600)
    (response,) = stalling.session.stage.record.responses
    assert 1000 <= response.audio_ms <= 1401
    stalling.send("response.cancel")
    stalling.clock.advance(1)
    assert (response.status, response.reason) == ("cancelled", "client_cancelled")


async def test_a_stall_on_demand_ends_on_demand() -> None:
    async with (
        SimulatedRealtime(replace(FAST, scenario="faq")) as server,
        connected(server) as client,
    ):
        await client.configure()
        await client.talk()
        await client.until("response.output_audio.delta")
        controls = server.controls(server.sessions[0])
        controls.stall()
        controls.stall()
        controls.resume()
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


@pytest.mark.parametrize(("cut", "code"), [("1001", 1001), ("1011", 1011)])
async def test_a_drop_closes_with_its_code(cut: Cut, code: int) -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        record = await server.session()
        server.controls(record).drop(cut)
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()
        ending = await record.wait_closed()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert (ending.by, ending.code) == ("server", code)


async def test_a_reset_comes_without_a_goodbye() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        record = await server.session()
        server.controls(record).drop("reset")
        with pytest.raises(ConnectionClosedError) as closed:
            await client.next()
        ending = await record.wait_closed()
    assert (closed.value.rcvd, closed.value.sent) == (None, None)
    assert (ending.by, ending.code) == ("lost", None)


async def test_a_half_open_connection_answers_nothing_not_even_pings() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        record = await server.session()
        server.controls(record).drop("half_open")
        await client.talk()
        pong = await client.socket.ping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await pong
        assert record.sent["input_audio_buffer.speech_started"] == 0
        assert record.ending is None


@pytest.mark.parametrize("cut", ["1001", "1011", "reset"])
async def test_a_planned_drop_comes_in_the_middle_of_its_response(cut: Cut) -> None:
    options = replace(with_faults(drop_responses={1: cut}), scenario="long_answer")
    async with SimulatedRealtime(options) as server, connected(server) as client:
        await client.configure()
        await client.talk()
        with pytest.raises(ConnectionClosed):
            await client.until("response.done")
        record = await server.session()
        await record.wait_closed()
        (response,) = record.responses
    assert response.status == "in_progress"
    assert 1000 <= response.audio_ms <= 1401


async def test_a_scripted_drop_happens_where_the_script_says() -> None:
    async with SimulatedRealtime(replace(INSTANT, scenario="dropping")) as server:
        async with connected(server) as client:
            await client.configure()
            await client.talk()
            with pytest.raises(ConnectionClosed):
                await client.until("response.done")
        assert 2000 <= server.sessions[0].responses[0].audio_ms <= 2401


async def test_an_expired_session_says_so_and_closes_with_1001() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        server.controls(await server.session()).expire()
        error = await client.until("error")
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()
    assert error["error"]["code"] == "session_expired"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert closed.value.rcvd.reason == "Your session hit the maximum duration of 60 minutes."


def test_a_session_expires_after_its_sixty_minutes() -> None:
    session = bench()
    closed = []
    for seconds in (3599, 1):
        session.clock.advance(seconds)
        closed.append(session.wire.closed)
    message = "Your session hit the maximum duration of 60 minutes."
    assert closed == [None, (1001, message)]


async def test_transcripts_fail_and_come_twice_as_planned() -> None:
    faults = with_faults(failed_transcripts=frozenset({1}), duplicate_transcripts=True)
    async with (
        SimulatedRealtime(replace(faults, scenario="schedule")) as server,
        connected(server) as client,
    ):
        await client.configure()
        for _ in range(2):
            await client.talk()
            await client.until("response.done")
        first, second = server.sessions[0].turns
    prefix = "conversation.item.input_audio_transcription"
    (failed,) = client.all(f"{prefix}.failed")
    completed = client.all(f"{prefix}.completed")
    assert failed["item_id"] == first.item_id
    assert [e["item_id"] for e in completed] == [second.item_id] * 2
    assert completed[0]["transcript"] == "My name is Rachel Kim."


def test_a_late_transcript_comes_after_the_answer() -> None:
    late = bench("schedule", faults=FaultPlan(transcript_delay_ms=60_000))
    late.send("session.update", session=telephone_settings())
    late.talk()
    late.clock.advance(120)
    completed = late.at("conversation.item.input_audio_transcription.completed")
    assert completed == [time + 60 for time in late.at("response.done")]


async def test_unknown_events_and_garbage_come_between_the_others() -> None:
    async with (
        SimulatedRealtime(with_faults(unknown_events=True)) as server,
        connected(server) as client,
    ):
        await client.configure()
        await client.send("response.create")
        await client.until("response.done")
        server.controls(server.sessions[0]).send_event("response.shiny.delta", delta="x")
        shiny = await client.until("response.shiny.delta")
        server.controls(server.sessions[0]).send_garbage()
        text = await client.socket.recv()
        binary = await client.socket.recv()
    assert "response.output_hologram.delta" in client.kinds()
    assert shiny["delta"] == "x"
    assert (type(text), type(binary)) == (str, bytes)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(text)


async def test_faults_are_chosen_by_session() -> None:
    plans = {0: FaultPlan(fail_responses={1: "server_error"}), 1: FaultPlan()}
    options = replace(INSTANT, faults=lambda index: plans[index])
    async with SimulatedRealtime(options) as server:
        statuses = []
        for _ in plans:
            async with connected(server) as client:
                await client.configure()
                await client.send("response.create")
                statuses.append((await client.until("response.done"))["response"]["status"])
    assert statuses == ["failed", "completed"]
