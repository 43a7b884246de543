"""Who gets a session: refusals come after the upgrade, as an error event and a close code."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from loadtest.realtime import SimulatedRealtime, Spread, profile
from tests.loadtest.realtime.conftest import FAST, INSTANT, MODEL, Client, connected

REFUSED = {
    "no such key": ({"key": "sk-wrong"}, "invalid_api_key", 3000),
    "no key": ({"key": ""}, "invalid_api_key", 3000),
    "beta header": ({"OpenAI-Beta": "realtime=v1"}, "beta_api_shape_disabled", 4000),
    "unknown model": ({"query": "model=gpt-4o-realtime"}, "model_not_found", 4000),
    "no model": ({"query": ""}, "missing_model", 4000),
}


@pytest.mark.parametrize(("changes", "code", "close_code"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_refusal_is_an_error_event_and_a_close(
    changes: dict[str, str], code: str, close_code: int
) -> None:
    options = replace(INSTANT, api_keys=["sk-test"])
    async with SimulatedRealtime(options) as server, connected(server, **changes) as client:
        error = await client.until("error")
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()
        await server.wait_idle()
    assert client.kinds() == ["error"]
    assert error["error"]["code"] == code
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        close_code,
        f"invalid_request_error.{code}",
    )
    assert (server.connections.total, server.connections.rejected) == (1, 1)
    assert server.sessions == []


async def test_another_path_is_not_found() -> None:
    async with SimulatedRealtime(INSTANT) as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{server.port}/v1/live?model={MODEL}"):
                pass
    assert refused.value.response.status_code == 404


async def test_compression_is_never_agreed_to() -> None:
    async with SimulatedRealtime(INSTANT) as server:
        headers = {"Authorization": "Bearer sk-test"}
        url = f"{server.url}?model={MODEL}"
        async with connect(url, additional_headers=headers, compression="deflate") as socket:
            assert socket.response is not None
            assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_sessions_are_served_over_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    openssl = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "1"),
        *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await openssl.wait() == 0
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(certificate))
    async with SimulatedRealtime(INSTANT, tls=tls) as server:
        assert server.url.startswith("wss://")
        async with connect(
            f"{server.url}?model={MODEL}",
            additional_headers={"Authorization": "Bearer sk-test"},
            ssl=trust,
        ) as socket:
            client = Client(socket)
            await client.configure()
            await client.talk()
            done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_a_slow_door_answers_the_upgrade_late_and_then_serves() -> None:
    loop = asyncio.get_running_loop()
    async with SimulatedRealtime(replace(INSTANT, accept_delay_ms=150)) as server:
        began_s = loop.time()
        async with connected(server) as client:
            assert loop.time() - began_s >= 0.15
            await client.configure()
            await client.talk()
            assert (await client.until("response.done"))["response"]["status"] == "completed"
        await server.wait_idle()


async def test_what_is_sent_before_the_session_is_ready_waits_its_turn() -> None:
    slow = replace(profile("fast"), created=Spread(500, 500), configured=Spread(300, 300))
    options = replace(FAST, scenario="schedule", profile=slow)
    async with SimulatedRealtime(options) as server, connected(server) as client:
        await client.send("session.update", session={"type": "realtime", "instructions": "first"})
        await client.append(bytes(960), chunk_bytes=960)
        await client.send("response.create")
        await client.until("response.created")
        record = await server.session()
    assert client.kinds() == ["session.created", "session.updated", "response.created"]
    assert record.unconfigured_ms == 20
