"""``triage-bridge serve`` with a certificate of its own, which SIGHUP renews."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from websockets.asyncio.client import connect

from bridge.certificate import CertificateFiles, ShownCertificate
from bridge.errors import ConfigurationError
from loadtest.bench.certificate import Certificate, make_certificate
from loadtest.realtime import SimulatedRealtime, SimulatorOptions
from tests.bridge.cli.conftest import ACCOUNT, PUBLIC, TOKEN, Run, Serve, Served

Make: TypeAlias = Callable[[str], Certificate]
CALL = "CA" + "c" * 32
FORM = {"CallSid": CALL, "AccountSid": ACCOUNT, "From": "+15550100001", "To": "+15550100002"}
RENEWED_WITHIN_S = 20.0


@pytest.fixture
def make(tmp_path: Path) -> Make:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make a certificate with")

    def made(name: str) -> Certificate:
        folder = tmp_path / name
        folder.mkdir()
        return make_certificate(folder)

    return made


def environ_of(certificate: Certificate) -> dict[str, str]:
    return {"TLS_CERT": str(certificate.public), "TLS_KEY": str(certificate.key)}


def trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate.public)


def serial_of(port: int) -> bytes:
    """The certificate that is shown on this port."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10).encode()


def test_webhooks_are_answered_over_tls_with_a_stream_over_tls(serve: Serve, make: Make) -> None:
    certificate = make("own")
    served = serve(**environ_of(certificate))
    request = urllib.request.Request(
        f"https://localhost:{served.port}/voice",
        data=urlencode(FORM).encode(),
        headers={
            "X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(PUBLIC + "/voice", FORM)
        },
    )
    with urllib.request.urlopen(  # noqa: S310 - our own server
        request, timeout=10, context=trusting(certificate)
    ) as answer:
        assert b"<Response>" in answer.read()
    with pytest.raises(OSError, match=r"(?i)reset|closed|disconnected|empty"):
        urllib.request.urlopen(f"http://127.0.0.1:{served.port}/healthz", timeout=10)


async def test_a_call_speaks_over_tls(serve: Serve, make: Make) -> None:
    certificate = make("own")
    start = {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ" + "1" * 32,
        "start": {
            "accountSid": ACCOUNT,
            "streamSid": "MZ" + "1" * 32,
            "callSid": CALL,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        },
    }
    async with SimulatedRealtime(SimulatorOptions(profile="instant")) as realtime:
        served = await asyncio.to_thread(
            serve,
            "--insecure-local",
            **environ_of(certificate),
            PUBLIC_URL="",
            REALTIME_URL=realtime.url,
            MAKE_LINES="off",
        )
        assert served.twilio_calls == f"Twilio calls https://127.0.0.1:{served.port}/voice\n"
        url = f"wss://localhost:{served.port}/media"
        async with connect(url, ssl=trusting(certificate), proxy=None) as socket:
            await socket.send(json.dumps({"event": "connected", "protocol": "Call"}))
            await socket.send(json.dumps(start))
            async with asyncio.timeout(30):
                while (heard := json.loads(await socket.recv()))["event"] != "media":
                    pass
    assert heard["streamSid"] == start["streamSid"]


def copied(source: Certificate, target: Certificate) -> None:
    shutil.copy(source.public, target.public)
    shutil.copy(source.key, target.key)


def until_shown(served: Served, certificate: Certificate) -> bool:
    wanted = certificate.public.read_bytes().split()
    deadline = time.monotonic() + RENEWED_WITHIN_S
    while time.monotonic() < deadline:
        if serial_of(served.port).split() == wanted:
            return True
        time.sleep(0.1)
    return False


def test_sighup_shows_a_renewed_certificate_and_keeps_the_old_one_where_it_is_faulty(
    serve: Serve, make: Make
) -> None:
    used, other = make("used"), make("other")
    served = serve(**environ_of(used))
    assert until_shown(served, used)
    shutil.copy(other.public, used.public)  # and not yet its key
    served.signal(signal.SIGHUP)
    deadline = time.monotonic() + RENEWED_WITHIN_S
    while "certificate_refused" not in served.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "certificate_refused" in served.log.read_text()
    assert serial_of(served.port).split() != other.public.read_bytes().split()
    copied(other, used)
    served.signal(signal.SIGHUP)
    assert until_shown(served, other)


def test_a_pair_that_does_not_match_is_a_fault(make: Make) -> None:
    one, two = make("one"), make("two")
    files = CertificateFiles(one.public, two.key)
    with pytest.raises(ConfigurationError, match=r"TLS_CERT is .*KEY_VALUES_MISMATCH"):
        files.context()


def test_an_encrypted_key_is_a_fault_and_asks_nobody(make: Make, tmp_path: Path) -> None:
    one = make("one")
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:x", "-in", str(one.key)]
    subprocess.run([*command, "-out", str(locked)], check=True, capture_output=True)  # noqa: S603
    with pytest.raises(ConfigurationError, match="not encrypted, in PEM"):
        CertificateFiles(one.public, locked).context()


def test_a_failed_renewal_leaves_the_pair_that_is_in_use(make: Make) -> None:
    used, other = make("used"), make("other")
    shown = ShownCertificate(CertificateFiles(used.public, used.key))
    shutil.copy(other.public, used.public)
    with pytest.raises(ConfigurationError):
        shown.renew()
    copied(other, used)
    shown.renew()


def test_faults_of_the_files_are_told_before_anything_listens(run: Run, tmp_path: Path) -> None:
    environ = {"TLS_CERT": str(tmp_path / "none.pem"), "TLS_KEY": str(tmp_path / "none.key")}
    ended = run("serve", "--port", "0", **environ)
    assert ended.status == 2
    assert (
        "expected a certificate chain and its key, not encrypted, in PEM: No such file" in ended.err
    )
    half = run("serve", "--port", "0", TLS_CERT="x")
    assert "TLS_CERT is set without TLS_KEY, expected both or neither" in half.err
