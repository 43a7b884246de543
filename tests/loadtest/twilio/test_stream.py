"""The media socket against an independent websocket server."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import random
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from loadtest.twilio import (
    CallResult,
    CallScript,
    FellOffTheEnd,
    HangUp,
    InterruptAfterMs,
    Press,
    SendRaw,
    Settings,
    Severity,
    Signing,
    SimulatedTwilio,
    Speak,
    StayOnLine,
    Step,
    StreamEnd,
    StreamFaults,
    WaitForStream,
    WaitMs,
)
from loadtest.twilio.signature import sign
from tests.loadtest.twilio.conftest import (
    AUTH_TOKEN,
    PUBLIC,
    Application,
    MediaServer,
    Socket,
    clip,
    response,
    tone,
)

URL = f"wss://{PUBLIC}/media"
STREAM = response(
    f'<Connect><Stream url="{URL}"><Parameter name="token" value="t-1"/></Stream></Connect>'
)


def stream_script(*steps: Step, twiml: str = STREAM) -> CallScript:
    return CallScript(steps=steps, twiml=twiml, max_call_ms=10_000)


def codes(result: CallResult) -> list[tuple[int, Severity, int]]:
    return [(notice.code.value, notice.severity, notice.count) for notice in result.notices]


CLOSED = (31921, Severity.INFO, 1)


async def test_a_stream_begins_with_connected_start_and_media_in_order(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def listen(socket: Socket) -> None:
        for _ in range(6):
            await socket.next()

    media.behaviour = listen
    result = await twilio.place_call(stream_script())
    connected, start, *frames = media.socket.messages
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["start"]["callSid"] == result.call_sid
    assert start["start"]["customParameters"] == {"token": "t-1"}
    assert [
        (each["sequenceNumber"], each["media"]["chunk"], each["media"]["timestamp"])
        for each in frames
    ] == [("2", "1", "155"), ("3", "2", "175"), ("4", "3", "195"), ("5", "4", "215")]
    assert {base64.b64decode(each["media"]["payload"]) for each in frames} == {b"\xff" * 160}
    assert result.streams[0].end is StreamEnd.CLOSED_BY_SERVER
    assert result.outcomes == (FellOffTheEnd(),)
    assert codes(result) == [CLOSED]


@pytest.mark.parametrize(
    ("signing", "signed"),
    [(Signing.EXACT, URL), (Signing.TRAILING_SLASH, URL + "/")],
    ids=["exact", "trailing slash"],
)
async def test_the_upgrade_is_signed_over_the_public_url_and_carries_the_public_host(
    settings: Settings, media: MediaServer, signing: Signing, signed: str
) -> None:
    changed = dataclasses.replace(settings, stream_signing=signing)
    async with SimulatedTwilio(changed) as twilio:
        await twilio.place_call(stream_script(WaitForStream(), HangUp()))
    headers = media.socket.headers
    assert headers["X-Twilio-Signature"] == sign(signed, {}, AUTH_TOKEN)
    assert headers["Host"] == PUBLIC
    assert "Sec-WebSocket-Extensions" not in headers


async def test_a_mark_comes_back_when_the_audio_before_it_was_played(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def talk(socket: Socket) -> None:
        await socket.until("start")
        await socket.mark("empty")
        await socket.until("mark")
        times.append(loop.time())
        await socket.play(tone(200), "first")
        await socket.play(tone(200), "second")
        await socket.until("mark")
        times.append(loop.time())
        await socket.until("mark")
        times.append(loop.time())

    media.behaviour = talk
    await twilio.place_call(stream_script())
    marks = [message["mark"]["name"] for message in media.socket.of("mark")]
    assert marks == ["empty", "first", "second"]
    sent, first, second = times
    # Never early: the clock that the server sees is behind the one that plays.
    assert first - sent >= 0.2
    assert second - sent >= 0.4


async def test_clear_empties_the_buffer_and_brings_back_every_pending_mark(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def talk(socket: Socket) -> None:
        await socket.until("start")
        await socket.play(tone(5000), "a")
        await socket.play(tone(5000), "b")
        for _ in range(10):
            await socket.until("media")
        await socket.clear()
        await socket.until("mark")
        await socket.until("mark")
        await socket.mark("after")
        await socket.until("mark")

    media.behaviour = talk
    result = await twilio.place_call(stream_script())
    marks = [message["mark"]["name"] for message in media.socket.of("mark")]
    assert marks == ["a", "b", "after"]
    assert result.recording is not None
    assert 0 < len(result.recording.assistant.strip(b"\xff")) < 8 * 2000
    (stopped,) = [event for event in result.timeline if event.kind == "assistant_stopped"]
    (clear,) = [event for event in result.timeline if event.kind == "clear"]
    assert stopped.data == {"cut": True}
    assert stopped.at == clear.at
    reached = [event.data["reached"] for event in result.timeline if event.kind == "mark"]
    assert reached == [False, False, True]


BAD = [
    "{",
    '{"event":"media"}',
    '{"event":"hangup","streamSid":"MZ"}',
    '{"event":"clear","streamSid":"MZ00"}',
    '{"event":"media","streamSid":"SID","media":{"payload":"%%"}}',
    '{"event":"mark","streamSid":"SID","mark":{"name":"x","extra":1}}',
]


async def test_invalid_messages_are_dropped_and_logged_once_per_stream(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def talk(socket: Socket) -> None:
        await socket.until("start")
        for text in BAD:
            await socket.connection.send(text.replace("SID", socket.stream_sid))
        await socket.connection.send(b"binary")
        await socket.connection.send(b"binary")
        await socket.mark("still alive")
        await socket.until("mark")

    media.behaviour = talk
    result = await twilio.place_call(stream_script())
    assert codes(result) == [
        (31951, Severity.ERROR, len(BAD)),
        (31950, Severity.ERROR, 2),
        CLOSED,
    ]
    assert result.streams[0].messages_dropped == len(BAD) + 2
    assert result.streams[0].marks_echoed == 1


async def test_a_message_in_fragments_is_one_message(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def talk(socket: Socket) -> None:
        await socket.until("start")
        text = json.dumps(
            {"event": "mark", "streamSid": socket.stream_sid, "mark": {"name": "split"}}
        )
        await socket.connection.send([text[:10], text[10:20], text[20:]])
        await socket.until("mark")

    media.behaviour = talk
    result = await twilio.place_call(stream_script())
    assert result.errors == ()
    assert result.streams[0].marks_echoed == 1


async def test_more_than_ten_minutes_of_audio_is_thrown_away(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def talk(socket: Socket) -> None:
        await socket.until("start")
        for _ in range(11):
            await socket.play(b"\xff" * 480_000)
        await socket.clear()
        await socket.mark("done")
        await socket.until("mark")

    media.behaviour = talk
    result = await twilio.place_call(stream_script())
    assert codes(result) == [(31931, Severity.WARNING, 1), CLOSED]


async def test_keys_go_to_the_stream(twilio: SimulatedTwilio, media: MediaServer) -> None:
    async def listen(socket: Socket) -> None:
        await socket.until("dtmf")
        await socket.until("dtmf")

    media.behaviour = listen
    await twilio.place_call(stream_script(WaitForStream(), Press("5#")))
    assert [message["dtmf"] for message in media.socket.of("dtmf")] == [
        {"track": "inbound_track", "digit": "5"},
        {"track": "inbound_track", "digit": "#"},
    ]


async def test_a_caller_who_hangs_up_sends_stop_and_closes(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    result = await twilio.place_call(stream_script(WaitForStream(), HangUp()))
    *_, stop = media.socket.messages
    assert stop["event"] == "stop"
    assert stop["stop"]["callSid"] == result.call_sid
    assert result.streams[0].end is StreamEnd.STOPPED
    assert media.socket.connection.close_code == 1000


async def test_our_own_close_is_not_the_servers_however_long_it_takes_to_follow(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    released = asyncio.Event()

    async def busy(socket: Socket) -> None:
        await socket.until("start")
        socket.connection.transport.pause_reading()
        await released.wait()
        socket.connection.transport.abort()

    media.behaviour = busy
    result = await twilio.place_call(stream_script(WaitForStream(), WaitMs(100), HangUp()))
    released.set()
    assert result.streams[0].end is StreamEnd.STOPPED
    assert "stream_closed" not in {event.kind for event in result.timeline}


async def test_the_sequence_has_no_holes_over_a_whole_conversation(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    spoken = clip(300)
    await twilio.place_call(stream_script(WaitForStream(), Speak(spoken), Press("1"), HangUp()))
    messages = media.socket.messages[1:]
    assert [message["sequenceNumber"] for message in messages] == [
        str(number) for number in range(1, len(messages) + 1)
    ]
    heard = b"".join(
        base64.b64decode(message["media"]["payload"]) for message in media.socket.of("media")
    )
    assert b"".join(frame.ulaw for frame in spoken.frames) in heard


async def test_a_connection_that_breaks_is_a_lost_stream_and_the_call_goes_on(
    twilio: SimulatedTwilio, media: MediaServer, application: Application
) -> None:
    application.replies["/next"] = response("<Hangup/>")

    async def vanish(socket: Socket) -> None:
        await socket.until("start")
        socket.connection.transport.abort()

    media.behaviour = vanish
    twiml = response(
        f'<Connect action="https://{PUBLIC}/next"><Stream url="{URL}"/></Connect>',
    )
    result = await twilio.place_call(stream_script(twiml=twiml))
    assert codes(result) == [(31921, Severity.WARNING, 1)]
    assert result.streams[0].end is StreamEnd.LOST
    assert [request.path for request in application.seen] == ["/next"]
    assert len(media.sockets) == 1


@pytest.mark.parametrize("code", [1000, 1008, 1011, 4001])
async def test_the_servers_close_code_and_reason_are_reported(
    twilio: SimulatedTwilio, media: MediaServer, code: int
) -> None:
    async def close(socket: Socket) -> None:
        await socket.until("start")
        await socket.connection.close(code, "because")

    media.behaviour = close
    result = await twilio.place_call(stream_script())
    report = result.streams[0]
    assert (report.end, report.close_code, report.close_reason) == (
        StreamEnd.CLOSED_BY_SERVER,
        code,
        "because",
    )


async def test_a_close_without_a_code_counts_as_1005_and_is_answered_properly(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    async def close(socket: Socket) -> None:
        await socket.until("start")
        socket.connection.protocol.send_close()
        socket.connection.send_data()
        await socket.connection.wait_closed()

    media.behaviour = close
    report = (await twilio.place_call(stream_script())).streams[0]
    assert (report.end, report.close_code) == (StreamEnd.CLOSED_BY_SERVER, 1005)
    answered = media.socket.connection.protocol.close_rcvd
    assert answered is not None
    assert answered.code == 1000


async def test_a_refused_handshake_is_31920_and_the_next_verb_runs(
    twilio: SimulatedTwilio, media: MediaServer, application: Application
) -> None:
    application.replies["/fallback"] = response("<Hangup/>")
    media.refusal = 403
    twiml = response(
        f'<Connect><Stream url="{URL}"/></Connect>',
        f"<Redirect>https://{PUBLIC}/fallback</Redirect>",
    )
    result = await twilio.place_call(stream_script(twiml=twiml))
    assert codes(result) == [(31920, Severity.ERROR, 1)]
    assert result.streams[0].refused_status == 403
    assert [request.path for request in application.seen] == ["/fallback"]


@pytest.mark.parametrize(
    ("url", "code", "complaint"),
    [
        (f"https://{PUBLIC}/media", 31920, "expected an absolute wss URL"),
        ("/media", 31920, "expected an absolute wss URL"),
        ("ws://127.0.0.1:1/media", 31920, "expected an absolute wss URL"),
        (f"{URL}?token=1", 31920, "Stream url has a query string"),
        ("wss://elsewhere.example/media", 31902, "neither loopback nor among the origins"),
        ("wss://127.0.0.1:1/media", 31902, "connection failed"),
    ],
    ids=["https", "relative", "plain", "query", "unknown host", "nobody there"],
)
async def test_a_stream_that_cannot_be_opened_says_why(
    twilio: SimulatedTwilio, url: str, code: int, complaint: str
) -> None:
    twiml = response(f'<Connect><Stream url="{url}"/></Connect>')
    result = await twilio.place_call(stream_script(twiml=twiml))
    (notice,) = result.notices
    assert notice.code == code
    assert complaint in notice.message
    assert result.outcomes == (FellOffTheEnd(),)


async def test_plain_ws_is_taken_where_the_settings_allow_it(
    settings: Settings, media: MediaServer
) -> None:
    twiml = response(f'<Connect><Stream url="ws://127.0.0.1:{media.port}/media"/></Connect>')
    async with SimulatedTwilio(dataclasses.replace(settings, plain_ws=True)) as twilio:
        result = await twilio.place_call(stream_script(WaitForStream(), HangUp(), twiml=twiml))
    assert result.errors == ()
    assert media.socket.headers["Host"] == f"127.0.0.1:{media.port}"


@pytest.mark.parametrize("offer", [False, True])
async def test_an_agreement_to_deflate_is_noticed(settings: Settings, offer: bool) -> None:
    async def accept(connection: ServerConnection) -> None:
        await connection.recv()

    extensions = [ServerPerMessageDeflateFactory()]
    async with serve(accept, "127.0.0.1", 0, compression=None, extensions=extensions) as server:
        port = server.sockets[0].getsockname()[1]
        twiml = response(f'<Connect><Stream url="ws://127.0.0.1:{port}/"/></Connect>')
        changed = dataclasses.replace(settings, plain_ws=True, offer_deflate=offer)
        async with SimulatedTwilio(changed) as twilio:
            result = await twilio.place_call(stream_script(twiml=twiml))
    assert result.streams[0].deflate_agreed is offer


async def test_a_server_that_does_not_agree_to_deflate_is_seen_as_such(
    settings: Settings, media: MediaServer
) -> None:
    async with SimulatedTwilio(dataclasses.replace(settings, offer_deflate=True)) as twilio:
        result = await twilio.place_call(stream_script(WaitForStream(), HangUp()))
    assert media.socket.headers["Sec-WebSocket-Extensions"] == "permessage-deflate"
    assert result.streams[0].deflate_agreed is False


async def test_a_server_that_does_not_read_costs_caller_audio_and_nothing_else(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    released = asyncio.Event()

    async def stall(socket: Socket) -> None:
        await socket.until("start")
        await socket.play(tone(1000))
        socket.connection.transport.pause_reading()
        await released.wait()
        socket.connection.transport.abort()

    media.behaviour = stall
    filler = SendRaw(b"\0" * 16_000_000)  # more than the kernel takes off our hands
    result = await twilio.place_call(
        stream_script(InterruptAfterMs(50), filler, WaitMs(100), HangUp())
    )
    released.set()
    report = result.streams[0]
    assert (31930, Severity.WARNING) in [each[:2] for each in codes(result)]
    assert report.frames_dropped > 0
    assert report.end is StreamEnd.STOPPED


async def test_a_stream_can_be_made_to_misbehave(settings: Settings, media: MediaServer) -> None:
    faults = StreamFaults(omit_connected=True, starts=2, call_sid="CA0", parameters={"token": "x"})

    async def listen(socket: Socket) -> None:
        for _ in range(4):
            await socket.next()

    media.behaviour = listen
    async with SimulatedTwilio(dataclasses.replace(settings, stream_faults=faults)) as twilio:
        await twilio.place_call(stream_script())
    first, second, *_ = media.socket.messages
    assert [first["event"], second["event"]] == ["start", "start"]
    assert first["start"]["callSid"] == "CA0"
    assert first["start"]["customParameters"] == {"token": "x"}


async def test_the_caller_can_send_anything(twilio: SimulatedTwilio, media: MediaServer) -> None:
    seen: list[str | bytes] = []

    async def listen(socket: Socket) -> None:
        while not seen or seen[-1] != b"\x01":
            message = await socket.connection.recv()
            if message in ("{bad", b"\x01"):
                seen.append(message)

    media.behaviour = listen
    await twilio.place_call(stream_script(WaitForStream(), SendRaw("{bad"), SendRaw(b"\x01")))
    assert seen == ["{bad", b"\x01"]


async def test_a_status_callback_hears_of_the_streams_beginning_and_end(
    twilio: SimulatedTwilio, media: MediaServer, application: Application
) -> None:
    application.replies["/stream-status"] = ""
    twiml = response(
        f'<Connect><Stream url="{URL}" name="line"'
        f' statusCallback="https://{PUBLIC}/stream-status"/></Connect>'
    )
    result = await twilio.place_call(stream_script(WaitForStream(), HangUp(), twiml=twiml))
    told = [request.params for request in application.asked("/stream-status")]
    assert [params["StreamEvent"] for params in told] == ["stream-started", "stream-stopped"]
    assert {params["StreamSid"] for params in told} == {result.streams[0].stream_sid}
    assert {params["StreamName"] for params in told} == {"line"}


async def test_calls_beside_each_other_have_their_own_streams(
    settings: Settings, media: MediaServer
) -> None:
    async with SimulatedTwilio(settings, rng=random.Random(3)) as twilio:
        async with asyncio.TaskGroup() as tasks:
            calls = [
                tasks.create_task(twilio.place_call(stream_script(WaitForStream(), HangUp())))
                for _ in range(5)
            ]
        results = [call.result() for call in calls]
    started = [socket.of("start")[0]["start"]["callSid"] for socket in media.sockets]
    assert sorted(started) == sorted(result.call_sid for result in results)
    assert len({result.streams[0].stream_sid for result in results}) == 5


async def test_a_call_that_nothing_ends_is_ended_by_its_limit(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    script = dataclasses.replace(stream_script(StayOnLine()), max_call_ms=200)
    result = await twilio.place_call(script)
    assert result.streams[0].end is StreamEnd.STOPPED
    assert str(result.outcome) == "CallerHungUp(reason='time over')"


async def test_a_server_that_does_not_answer_the_handshake_is_31901(
    settings: Settings, media: MediaServer
) -> None:
    media.held = asyncio.Event()
    impatient = dataclasses.replace(settings, connect_timeout_s=0.1)
    async with SimulatedTwilio(impatient) as twilio:
        result = await twilio.place_call(stream_script())
    media.held.set()
    assert codes(result) == [(31901, Severity.ERROR, 1)]
    assert media.sockets == []


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own making, for 127.0.0.1."""
    files = [folder / "key.pem", folder / "cert.pem"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    out = ["-keyout", str(files[0]), "-out", str(files[1])]
    subprocess.run(["openssl", *made, *out], check=True, capture_output=True)  # noqa: S603, S607
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files[1], files[0])
    return context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_server_is_reached_over_tls_only_if_its_certificate_is_trusted(
    settings: Settings, tmp_path: Path, trusted: bool
) -> None:
    events: list[str] = []

    async def listen(connection: ServerConnection) -> None:
        events.append(json.loads(await connection.recv())["event"])

    context = await asyncio.to_thread(certificate, tmp_path)
    ours = ssl.create_default_context(cafile=str(tmp_path / "cert.pem")) if trusted else None
    async with serve(listen, "127.0.0.1", 0, compression=None, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        twiml = response(f'<Connect><Stream url="wss://127.0.0.1:{port}/"/></Connect>')
        async with SimulatedTwilio(dataclasses.replace(settings, ssl_context=ours)) as twilio:
            result = await twilio.place_call(stream_script(twiml=twiml))
    assert events == (["connected"] if trusted else [])
    assert codes(result) == [CLOSED if trusted else (31910, Severity.ERROR, 1)]


async def test_a_caller_who_leaves_during_the_handshake_leaves_no_socket_open(
    twilio: SimulatedTwilio, media: MediaServer
) -> None:
    media.held = asyncio.Event()
    leaving = asyncio.create_task(twilio.place_call(stream_script(WaitMs(20), HangUp())))
    await media.asked.wait()
    await asyncio.sleep(0.05)  # the caller's own time on the line
    media.held.set()
    result = await leaving
    assert str(result.outcome) == "CallerHungUp(reason='caller')"
    assert result.streams[0].end is StreamEnd.STOPPED
    await media.socket.connection.wait_closed()


async def test_a_call_cancelled_during_the_handshake_never_starts_a_stream(
    settings: Settings, media: MediaServer
) -> None:
    media.held = asyncio.Event()
    async with SimulatedTwilio(settings) as twilio:
        call = asyncio.create_task(twilio.place_call(stream_script()))
        await media.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        media.held.set()
        async with asyncio.timeout(5):
            await media.connected.wait()
            await media.socket.connection.wait_closed()
    assert media.socket.messages == []
