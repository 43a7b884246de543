"""Spoken lines are made once, in the model's own voice, and kept."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from structlog.typing import EventDict

from bridge.legs.line_maker import LIKENESS, WantedLine, adds_words, likeness, make_lines
from bridge.legs.model_leg import ModelEndpoint
from bridge.lines import LOCK, LineCache, cached_line
from bridge.protocol.realtime import SessionSettings
from bridge.protocol.unhandled import UnhandledCounter
from tests.bridge.legs.audio import tone
from tests.bridge.legs.conftest import ServeBridge
from tests.bridge.legs.puppet import PuppetModel, PuppetSession
from tests.bridge.legs.served import WAIT_S

WORDS = "Thank you for calling. How can I help you today?"


async def say(session: PuppetSession, words: str, ulaw: bytes, status: str = "completed") -> None:
    """Answer the one request of this session."""
    await session.event("response.create")
    await session.response()
    await session.delta(ulaw)
    await session.send(
        "response.output_audio_transcript.done",
        response_id="resp_1",
        item_id="item_1",
        transcript=words,
    )
    await session.done(status=status)


def wanted(puppet: PuppetModel, text: str = WORDS) -> WantedLine:
    return WantedLine(ModelEndpoint(puppet.url, "sk-made-up", SessionSettings()), text)


async def make(puppet: PuppetModel, folder: Path) -> tuple[LineCache, asyncio.Task[int]]:
    cache = LineCache(folder)
    making = asyncio.create_task(make_lines([wanted(puppet)], cache, UnhandledCounter()))
    return cache, making


async def test_a_line_is_spoken_once_and_kept(puppet: PuppetModel, lines: Path) -> None:
    cache, making = await make(puppet, lines)
    session = await puppet.session()
    await say(session, WORDS, tone(500))
    assert await making == 0
    assert await session.closed() == (1000, "")
    assert cache.get("marin", "gpt-realtime-2.1", WORDS) == cached_line(WORDS, tone(500))
    _, again = await make(puppet, lines)
    assert await again == 0
    assert len(puppet.sessions) == 1


async def test_the_session_that_speaks_lines_has_no_tools_and_adds_nothing(
    puppet: PuppetModel, lines: Path
) -> None:
    _, making = await make(puppet, lines)
    session = await puppet.session()
    await say(session, WORDS, tone(100))
    await making
    wish = (await session.event("session.update"))["session"]
    assert (wish["tools"], wish["tool_choice"]) == ([], "none")
    asked = (await session.event("response.create"))["response"]["instructions"]
    assert asked == f'Say exactly this and nothing else: "{WORDS}"'


async def test_a_model_that_says_something_else_is_asked_again(
    puppet: PuppetModel, lines: Path, logged: list[EventDict]
) -> None:
    cache, making = await make(puppet, lines)
    await say(await puppet.session(0), f"Certainly! {WORDS}", tone(100))
    await say(await puppet.session(1), WORDS, tone(100), status="cancelled")
    await say(await puppet.session(2), WORDS, tone(300))
    assert await making == 0
    assert cache.get("marin", "gpt-realtime-2.1", WORDS) == cached_line(WORDS, tone(300))
    assert [one["reason"] for one in logged if one["event"] == "line_not_made"] == [
        "the model said something else",
        "the response ended as cancelled",
    ]


async def test_a_line_that_cannot_be_made_is_left_and_leaves_no_session(
    puppet: PuppetModel, lines: Path
) -> None:
    cache, making = await make(puppet, lines)
    for number in range(3):
        session = await puppet.session(number)
        await session.event("response.create")
        session.reset()
    assert await making == 1
    assert cache.get("marin", "gpt-realtime-2.1", WORDS) is None
    assert os.listdir(lines) == [LOCK]


async def test_a_process_makes_its_lines_and_the_next_call_is_greeted_from_the_cache(
    bridge_under_test: ServeBridge, puppet: PuppetModel, lines: Path
) -> None:
    await bridge_under_test(puppet.url, GREETING=WORDS, MAKE_LINES="on")
    session = await puppet.session()
    await say(session, WORDS, tone(400))
    await session.closed()
    async with asyncio.timeout(WAIT_S):
        while not any(name.endswith(".wav") for name in os.listdir(lines)):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("said", "alike", "adds"),
    [
        (WORDS, True, False),
        ("thank you for calling how can i help you today", True, False),
        ("Thank you for calling. How may I help you today?", True, False),
        (f"Certainly! {WORDS}", True, True),
        (f"{WORDS} Goodbye.", True, True),
        ("Good morning.", False, False),
        ("", False, False),
    ],
)
def test_words_are_compared_whatever_their_case_and_punctuation(
    said: str, alike: bool, adds: bool
) -> None:
    assert (likeness(said, WORDS) >= LIKENESS, adds_words(said, WORDS)) == (alike, adds)


async def test_of_two_processes_one_makes_the_lines_and_both_have_them(
    puppet: PuppetModel, lines: Path
) -> None:
    """The lock is the kernel's: two open files of one process are as good as two processes."""
    one, first = await make(puppet, lines)
    session = await puppet.session()
    other, second = await make(puppet, lines)
    await say(session, WORDS, tone(500))
    assert [await first, await second] == [0, 0]
    assert len(puppet.sessions) == 1
    kept = [cache.get("marin", "gpt-realtime-2.1", WORDS) for cache in (one, other)]
    assert kept == [cached_line(WORDS, tone(500))] * 2


async def test_a_cache_that_cannot_be_written_is_told_and_costs_nothing_else(
    puppet: PuppetModel, tmp_path: Path, logged: list[EventDict]
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    _, making = await make(puppet, tmp_path / "file" / "lines")
    assert await making == 1
    assert [entry["event"] for entry in logged] == ["lines_not_made"]
