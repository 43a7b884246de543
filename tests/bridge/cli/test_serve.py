"""``triage-bridge serve``: what it refuses to start with, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import resource
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from bridge import __version__
from loadtest.realtime import SimulatedRealtime, SimulatorOptions, load_scenario
from tests.bridge.cli.conftest import ACCOUNT, ENVIRON, PUBLIC, TOKEN, Ended, Run, Serve, Served

CALL = "CA" + "c" * 32
FORM = {"CallSid": CALL, "AccountSid": ACCOUNT, "From": "+15550100001", "To": "+15550100002"}


def open_files_at_most(hard: int, soft: int | None = None) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft or hard, hard))


def post(served: Served, target: str, form: dict[str, str] = FORM) -> str:
    signature = RequestValidator(TOKEN).compute_signature(PUBLIC + target, form)
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.port}{target}",
        data=urlencode(form).encode(),
        headers={"X-Twilio-Signature": signature},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        text: str = answer.read().decode()
    return text


def get(served: Served, target: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{served.port}{target}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_version_is_told(run: Run) -> None:
    assert run("--version") == Ended(0, f"triage-bridge {__version__}\n", "")


def test_help_lists_the_commands(run: Run) -> None:
    ended = run("--help")
    assert (ended.status, "serve" in ended.out) == (0, True)


def test_an_unknown_command_is_named(run: Run) -> None:
    ended = run("fly")
    assert (ended.status, "No such command 'fly'" in ended.err) == (2, True)


def test_a_faulty_environment_is_listed_whole_and_ends_with_2(run: Run) -> None:
    changes = {"OPENAI_API_KEY": "", "REALTIME_URL": "", "MAX_CALLS": "lots"}
    ended = run("serve", **ENVIRON | changes)
    assert ended == Ended(
        2,
        "",
        "Error: 2 faults in the configuration\n"
        "  - OPENAI_API_KEY is not set, expected the key of the Realtime API\n"
        "  - MAX_CALLS is 'lots', expected a whole number from 1 to 10000\n",
    )


def test_insecure_local_refuses_to_listen_to_the_world(run: Run) -> None:
    environ = ENVIRON | {"PUBLIC_URL": ""}
    ended = run("serve", "--insecure-local", "--host", "0.0.0.0", **environ)  # noqa: S104
    assert ended == Ended(
        2,
        "",
        "Error: 1 fault in the configuration\n"
        "  - --insecure-local with --host 0.0.0.0: unsigned calls are served on loopback only\n",
    )


def test_a_broken_triage_file_keeps_it_from_starting(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "triage.toml"
    file.write_text("tenant = \n", encoding="utf-8")
    ended = run("serve", "--port", "0", **ENVIRON, TRIAGE_FILE=str(file))
    assert (ended.status, ended.out) == (2, "")
    assert "triage.toml" in ended.err


def test_faults_of_the_triage_file_are_told_with_those_of_the_environment(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "broken.toml"
    file.write_text('tenant = "acme"\nnumbers = 5\n')
    ended = run("serve", TRIAGE_FILE=str(file), DATA_KEYS="my-key")
    assert ended.status == 2
    assert "OPENAI_API_KEY is not set" in ended.err
    assert "DATA_KEYS: key 1 is not 32 bytes" in ended.err
    assert f"{file}:2: error: numbers: is 5, expected a list" in ended.err


def test_too_few_open_files_are_named_before_anything_listens(run: Run) -> None:
    ended = run("serve", **ENVIRON, before=open_files_at_most(600))
    assert ended == Ended(
        2,
        "",
        "Error: 1 fault in the configuration\n"
        "  - MAX_CALLS is 300, which needs 1412 open files, but this process may open 600: "
        "raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower MAX_CALLS\n",
    )


def test_a_low_soft_limit_is_raised(serve: Serve) -> None:
    served = serve(before=open_files_at_most(2000, soft=256))
    limits = Path(f"/proc/{served.process.pid}/limits")
    if not limits.exists():
        pytest.skip("the limits of another process are not to be seen here")
    line = next(line for line in limits.read_text().splitlines() if "open files" in line)
    assert line.split()[3:5] == ["1412", "2000"]


def test_a_port_in_use_is_named(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("serve", "--port", str(port), **ENVIRON)
    assert ended == Ended(
        1, "", f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_at_once_and_well(number: int, serve: Serve) -> None:
    served = serve()
    assert served.twilio_calls == f"Twilio calls {PUBLIC}/voice\n"
    assert get(served, "/healthz")[0] == 200
    served.signal(number)
    ended = served.ended()
    assert (ended.status, ended.out) == (0, "")


def test_while_it_drains_webhooks_are_answered_and_new_calls_passed_on(serve: Serve) -> None:
    served = serve()
    answer = post(served, "/voice")
    after = answer.partition(f'action="{PUBLIC}')[2].partition("#")[0]
    served.signal(signal.SIGTERM)
    wait_for_drain(served)
    today = '<Redirect method="POST">https://ivr.example.com/today</Redirect>'
    assert today in post(served, after)
    passed_on = post(served, "/voice", FORM | {"CallSid": "CA" + "d" * 32})
    assert ("<Connect" in passed_on, today in passed_on) == (False, True)
    served.signal(signal.SIGTERM)
    assert served.ended().status == 0


def test_a_second_signal_does_not_leave_callers_who_are_about_to_ask_where_to_go(
    serve: Serve,
) -> None:
    served = serve()
    action = post(served, "/voice").partition("/after/")[2].partition("#")[0]
    served.signal(signal.SIGTERM)
    wait_for_drain(served)
    served.signal(signal.SIGTERM)
    ends_at = time.monotonic() + 1
    while time.monotonic() < ends_at:  # Twilio asks when the stream is over, some time later
        assert "<Redirect" in post(served, f"/after/{action}")
    served.signal(signal.SIGTERM)
    assert served.ended().status == 0


def wait_for_drain(served: Served) -> None:
    """Asks until the signal has arrived; a bounded number of times."""
    for _ in range(1000):
        if get(served, "/readyz")[0] == 503:
            return
    pytest.fail("readiness never turned off")


def upgrade(served: Served, signed_as: str) -> str:
    """The status line of a handshake that offers compression, and the headers behind it."""
    signature = RequestValidator(TOKEN).compute_signature(signed_as, {})
    lines = [
        "GET /media HTTP/1.1",
        "Host: voice.example.com",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        f"X-Twilio-Signature: {signature}",
    ]
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        with client.makefile("rb") as answer:
            head = [line.decode().strip() for line in iter(answer.readline, b"\r\n")]
    return "\n".join(head).lower()


def test_a_signed_upgrade_is_taken_without_compression(serve: Serve) -> None:
    head = upgrade(serve(), "wss://voice.example.com/media")
    assert head.startswith("http/1.1 101")
    assert "extensions" not in head


def test_an_upgrade_with_a_foreign_signature_is_refused(serve: Serve) -> None:
    assert upgrade(serve(), "wss://evil.example.com/media").startswith("http/1.1 403")


def test_the_log_is_structured_and_holds_nothing_private(serve: Serve) -> None:
    served = serve()
    token = post(served, "/voice").partition("/after/")[2].partition("#")[0]
    post(served, f"/after/{token}")
    get(served, "/voice")
    served.signal(signal.SIGTERM)
    wait_for_drain(served)
    served.signal(signal.SIGTERM)
    err = served.ended().err
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert [event for event in events if event in ("call_taken", "after_answered")] == [
        "call_taken",
        "after_answered",
    ]
    private = [token, TOKEN, ENVIRON["OPENAI_API_KEY"], "5550100001", "5550100002"]
    assert [value for value in private if value in err] == []


async def test_a_model_on_this_machine_needs_no_key(serve: Serve) -> None:
    """As the simulated one is started by hand: it asks for a key, and takes any."""
    without = {"OPENAI_API_KEY": "", "TWILIO_ACCOUNT_SID": "", "TWILIO_AUTH_TOKEN": ""}
    async with SimulatedRealtime(SimulatorOptions(scenario=load_scenario("reactive"))) as model:
        environ = without | {"PUBLIC_URL": "", "REALTIME_URL": model.url, "POOL_SIZE": "1"}
        served = await asyncio.to_thread(lambda: serve("--insecure-local", **environ))
        async with asyncio.timeout(20):
            while not model.sessions:
                assert "invalid_api_key" not in served.log.read_text(encoding="utf-8")
                await asyncio.sleep(0.02)


def test_insecure_local_serves_unsigned_calls(serve: Serve) -> None:
    served = serve("--insecure-local", PUBLIC_URL="", TWILIO_AUTH_TOKEN="", TWILIO_ACCOUNT_SID="")
    body = urlencode(FORM).encode()
    url = f"http://127.0.0.1:{served.port}"
    with urllib.request.urlopen(f"{url}/voice", data=body, timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    assert f'url="ws://127.0.0.1:{served.port}/media"' in text
    assert f'action="{url}/after/' in text


def post_on(connection: http.client.HTTPConnection, target: str, form: dict[str, str]) -> str:
    """On a connection that stands already, as Twilio keeps them."""
    signature = RequestValidator(TOKEN).compute_signature(PUBLIC + target, form)
    headers = {
        "X-Twilio-Signature": signature,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    connection.request("POST", target, urlencode(form), headers)
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read().decode()


def callers() -> Iterator[dict[str, str]]:
    """New calls, four a second, not for ever."""
    for number in range(60):
        yield FORM | {"CallSid": f"CA{number:032x}", "From": f"+1415555{number:04}"}
        time.sleep(0.25)


def test_without_free_descriptors_calls_go_to_todays_flow_until_there_are_some(
    serve: Serve,
) -> None:
    """Strangers open connections and say nothing: who is answered goes to today's flow, and who
    cannot be answered is turned away at once, so that Twilio asks the fallback URL."""
    served = serve(before=open_files_at_most(602), MAX_CALLS="30")
    arriving = callers()
    with contextlib.ExitStack() as strangers:
        twilio = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        strangers.callback(twilio.close)
        assert "<Connect" in post_on(twilio, "/voice", next(arriving))
        for _ in range(640):
            strangers.enter_context(socket.create_connection(("127.0.0.1", served.port)))
        with pytest.raises(OSError, match=r"reset|closed"):
            get(served, "/healthz")
        answers = (post_on(twilio, "/voice", form) for form in arriving)
        refused = next(answer for answer in answers if "<Connect" not in answer)
        assert '<Redirect method="POST">https://ivr.example.com/today</Redirect>' in refused
    assert any("<Connect" in post(served, "/voice", form) for form in arriving)
    log = [json.loads(line) for line in served.log.read_text(encoding="utf-8").splitlines()]
    told = [entry["event"] for entry in log if entry["event"].startswith("files_")]
    assert told[0] == "files_exhausted"
    assert {"files_short", "files_again", "files_enough"} < set(told)
    assert "files_short" in {entry.get("reason") for entry in log}
    assert len(log) < 200
