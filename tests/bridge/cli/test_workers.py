"""``serve --workers N`` and SIGHUP: real processes, told by real signals."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from websockets.sync.client import connect

from loadtest.realtime import SimulatedRealtime, SimulatorOptions, load_scenario
from tests.bridge.cli.conftest import ACCOUNT, TOKEN, Serve, Served
from tests.bridge.cli.test_serve import CALL, FORM, get, post, post_on

WITHIN_S = 30
TRIAGE = (Path(__file__).parents[1] / "e2e" / "acme.toml").read_text(encoding="utf-8")
NOBODYS = TRIAGE.replace('numbers = ["*"]', 'numbers = ["+14155550100"]')
CLAIMED = TRIAGE.replace('numbers = ["*"]', 'numbers = ["+14155550199"]')
BROKEN = TRIAGE.replace("[business]", "[busyness]", 1)


def logged(served: Served, event: str) -> list[dict[str, Any]]:
    """What was logged of this kind so far. stderr is a file here, which may be read any time."""
    lines = served.log.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == event]


def until(served: Served, event: str, count: int = 1) -> list[dict[str, Any]]:
    """Wait, bounded, for the ``count``-th event; there is nobody who could tell us of it."""
    ends_at = time.monotonic() + WITHIN_S
    while time.monotonic() < ends_at:
        found = logged(served, event)
        if len(found) >= count:
            return found
        time.sleep(0.02)
    pytest.fail(f"no {event} number {count}: {served.log.read_text(encoding='utf-8')[-2000:]}")


def workers(served: Served) -> list[int]:
    return [entry["pid"] for entry in logged(served, "worker_started")]


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until_gone(pids: list[int]) -> None:
    ends_at = time.monotonic() + WITHIN_S
    while any(is_there(pid) for pid in pids):
        assert time.monotonic() < ends_at, f"still there: {pids}"
        time.sleep(0.02)


def test_several_workers_answer_on_one_port_and_stop_together(serve: Serve) -> None:
    served = serve("--workers", "2")
    assert [len(set(workers(served))), get(served, "/healthz")[0]] == [2, 200]
    served.signal(signal.SIGTERM)
    assert served.ended().status == 0
    until_gone(workers(served))
    assert [entry["tasks_left"] for entry in logged(served, "stopped")] == [0, 0]


def test_what_dead_workers_took_those_in_their_place_answer(serve: Serve) -> None:
    served = serve("--workers", "2")
    action = post(served, "/voice").partition("/after/")[2].partition("#")[0]
    for pid in workers(served):
        os.kill(pid, signal.SIGKILL)
    until(served, "worker_died", 2)
    today = '<Redirect method="POST">https://ivr.example.com/today</Redirect>'
    assert today in post(served, f"/after/{action}")
    assert until(served, "after_answered")[0]["reason"] == "no_decision"


def test_a_worker_that_died_is_replaced(serve: Serve) -> None:
    served = serve("--workers", "2")
    killed = workers(served)[0]
    os.kill(killed, signal.SIGKILL)
    died = until(served, "worker_died")[0]
    assert (died["worker"], died["status"]) == (0, -signal.SIGKILL)
    until(served, "worker_started", 3)
    until(served, "serving", 3)
    assert get(served, "/healthz")[0] == 200


def test_a_worker_that_alone_is_told_to_stop_is_relieved(serve: Serve) -> None:
    """It passes calls on until another stands in its place, and no longer."""
    served = serve("--workers", "2")
    told = workers(served)[0]
    os.kill(told, signal.SIGTERM)
    until(served, "worker_relieved")
    until_gone([told])
    until(served, "serving", 3)
    for number in range(4):
        form = FORM | {"CallSid": f"CA{number:032}", "From": f"+1555010020{number}"}
        assert "<Connect" in post(served, "/voice", form)
    assert logged(served, "worker_died") == []


def test_sighup_rolls_the_workers_the_new_ones_first(serve: Serve) -> None:
    served = serve("--workers", "2")
    old = workers(served)
    served.signal(signal.SIGHUP)
    until(served, "rolled")
    until_gone(old)
    new = workers(served)[2:]
    assert [is_there(pid) for pid in new] == [True, True]
    assert "<Connect" in post(served, "/voice", FORM | {"CallSid": "CA" + "e" * 32})
    assert logged(served, "worker_died") == []


def test_a_broken_triage_file_rolls_nobody_and_every_fault_is_told(
    serve: Serve, tmp_path: Path
) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(TRIAGE, encoding="utf-8")
    served = serve("--workers", "2", **with_triage(file))
    old = workers(served)
    file.write_text(BROKEN, encoding="utf-8")
    served.signal(signal.SIGHUP)
    faults = until(served, "reload_refused")[0]["faults"]
    assert any("busyness" in fault for fault in faults)
    assert (workers(served), [is_there(pid) for pid in old]) == (old, [True, True])


def test_workers_that_lose_their_supervisor_let_their_calls_end_and_go(serve: Serve) -> None:
    served = serve("--workers", "2")
    pids = workers(served)
    served.process.kill()
    served.process.wait()
    until_gone(pids)


async def test_a_call_that_comes_over_a_connection_of_before_is_had_by_whoever_leaves(
    serve: Serve,
) -> None:
    """A rolled worker without a call; its load balancer sends the stream where the webhook was."""
    async with SimulatedRealtime(SimulatorOptions(scenario=load_scenario("reactive"))) as model:
        served = await asyncio.to_thread(lambda: serve(REALTIME_URL=model.url))
        told = await asyncio.to_thread(a_call_to_who_leaves, served)
    assert [entry["calls"] for entry in told] == [1]
    assert [entry["reason"] for entry in logged(served, "call_decided")] == ["assistant_failed"]
    assert [entry["tasks_left"] for entry in logged(served, "stopped")] == [0]


def a_call_to_who_leaves(served: Served) -> list[dict[str, Any]]:
    """Stays until the process waits for the call, and what it says then."""
    twilio = http.client.HTTPConnection("127.0.0.1", served.port, timeout=WITHIN_S)
    with contextlib.closing(twilio):
        token = post_on(twilio, "/voice", FORM).partition('value="')[2].partition('"')[0]
        served.signal(signal.SIGUSR1)
        until_nobody_is_accepted(served)
        signature = RequestValidator(TOKEN).compute_signature("wss://voice.example.com/media", {})
        with connect(
            "ws://voice.example.com/media",
            sock=twilio.sock,
            additional_headers={"X-Twilio-Signature": signature},
            compression=None,
        ) as stream:
            for message in opening(token):
                stream.send(json.dumps(message))
            told = until(served, "draining")
    assert served.ended().status == 0
    return told


def opening(token: str) -> Iterator[dict[str, Any]]:
    yield {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start = {
        "accountSid": ACCOUNT,
        "streamSid": "MZ" + CALL[2:],
        "callSid": CALL,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
    }
    yield {"event": "start", "sequenceNumber": "1", "streamSid": start["streamSid"], "start": start}


def until_nobody_is_accepted(served: Served) -> None:
    ends_at = time.monotonic() + WITHIN_S
    with contextlib.suppress(ConnectionRefusedError):
        while time.monotonic() < ends_at:
            socket.create_connection(("127.0.0.1", served.port)).close()
            time.sleep(0.02)
        pytest.fail("it still accepts")


@pytest.mark.parametrize(
    ("text", "said", "answers"),
    [(CLAIMED, "reloaded", "connect"),
     (BROKEN, "reload_refused", "today")],
    ids=["sound", "broken"],
)  # fmt: skip
def test_a_single_process_reads_its_triage_file_anew_or_leaves_it(
    text: str, said: str, answers: str, serve: Serve, tmp_path: Path
) -> None:
    """The number in the form belongs to nobody until the new file says so."""
    file = tmp_path / "acme.toml"
    file.write_text(NOBODYS, encoding="utf-8")
    served = serve(**with_triage(file))
    form = FORM | {"To": "+14155550199"}
    assert "<Connect" not in post(served, "/voice", form)
    file.write_text(text, encoding="utf-8")
    served.signal(signal.SIGHUP)
    until(served, said)
    took = "<Connect" in post(served, "/voice", form | {"CallSid": "CA" + "d" * 32})
    assert took == (answers == "connect")


def test_a_machine_too_short_of_memory_to_read_the_files_ends_nobody(
    serve: Serve, tmp_path: Path
) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(TRIAGE, encoding="utf-8")
    served = serve(**with_triage(file))
    with short_of_memory(served.process.pid):
        served.signal(signal.SIGHUP)
        assert "can't start new thread" in until(served, "reload_refused")[0]["exception"]
    served.signal(signal.SIGHUP)
    until(served, "reloaded")
    assert get(served, "/healthz")[0] == 200


@contextlib.contextmanager
def short_of_memory(pid: int) -> Iterator[None]:
    """So much is left that the process goes on, and too little for another thread."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    used = 1024 * int(status.partition("VmSize:")[2].split()[0])
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (used + 4 * 2**20, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)


def with_triage(file: Path) -> dict[str, str]:
    return {
        "TRIAGE_FILE": str(file),
        "SMTP_URL": "smtp://127.0.0.1:9",
        "SMTP_FROM": "triage@acme.example",
        "CRM_TOKEN": "crm-secret",
    }
