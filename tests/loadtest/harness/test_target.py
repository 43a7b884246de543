"""Addresses: what is called, what is refused, who is not there."""

from __future__ import annotations

import asyncio
import socket

import pytest

from loadtest.harness.target import Target, TargetError


@pytest.mark.parametrize(
    ("way", "url"),
    [
        ("media", "ws://127.0.0.1:8080/media"),
        ("media", "ws://[::1]:8080/media"),
        ("voice", "http://localhost:8080/voice?flow=FW1"),
    ],
)
def test_this_machine_may_always_be_called(way: str, url: str) -> None:
    assert Target.parse(way, url, owned=False).url == url  # type: ignore[arg-type]


def test_other_machines_need_their_owners_word() -> None:
    with pytest.raises(TargetError, match=r"bridge\.example is not this machine.*--yes-i-own"):
        Target.parse("media", "wss://bridge.example/media", owned=False)
    assert Target.parse("voice", "https://bridge.example/voice", owned=True).origins == {
        "https://bridge.example",
        "wss://bridge.example",
    }


@pytest.mark.parametrize(
    ("way", "url", "message"),
    [
        ("media", "http://127.0.0.1/media", "--target is .* expected an address with ws:// or wss"),
        ("voice", "127.0.0.1/voice", "--voice is .* expected an address with http:// or https"),
        ("media", "ws://127.0.0.1/media?a=1", "Twilio's <Stream> takes none"),
        ("media", "ws://127.0.0.1:99999/media", "its port is no port"),
    ],
)
def test_addresses_that_are_none_are_refused(way: str, url: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        Target.parse(way, url, owned=False)  # type: ignore[arg-type]


async def test_a_target_that_is_not_there_is_told_before_any_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        await Target("media", f"ws://127.0.0.1:{port}/media").check_there()
    await asyncio.sleep(0)
    with pytest.raises(TargetError, match=rf"nobody takes connections at 127\.0\.0\.1:{port}"):
        await Target("media", f"ws://127.0.0.1:{port}/media").check_there()
