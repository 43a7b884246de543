"""Makes spoken lines: a session of its own says a sentence once, and the audio is kept."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import structlog

from bridge.legs.model_leg import ModelEndpoint, ModelLeg, ModelUnavailableError
from bridge.lines import LineCache, making_alone
from bridge.protocol import realtime as rt
from bridge.protocol.unhandled import UnhandledCounter

_log = structlog.get_logger("bridge.lines")

SPOKEN_WITHIN_S = 30.0
TRIES = 3
LIKENESS = 0.85
"""Of the words spoken to the words wanted, as the model's own transcript has them."""
INSTRUCTIONS = "You read sentences aloud, word for word, warmly and at an even pace. Add nothing."


class LineNotSpokenError(Exception):
    """The model did not say the sentence; the message says what happened instead."""


@dataclass(frozen=True, slots=True)
class WantedLine:
    endpoint: ModelEndpoint
    text: str


class _Take:
    """One attempt: collects the audio and the words of a response."""

    def __init__(self) -> None:
        self.audio: list[bytes] = []
        self.words = ""
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def received(self, event: rt.ServerEvent) -> None:
        match event:
            case rt.AudioDelta(payload=payload):
                self.audio.append(base64.b64decode(payload))
            case rt.AssistantTranscript(text=text):
                self.words += f" {text}"
            case rt.ResponseDone(status=status):
                self._end(status)
            case _:
                pass

    def closed(self, reason: str) -> None:
        self._end(reason)

    def _end(self, how: str) -> None:
        if not self.over.done():
            self.over.set_result(how)


async def speak_line(wanted: WantedLine, unhandled: UnhandledCounter) -> bytes:
    """Mu-law of the sentence, spoken by the model.

    Raises ``ModelUnavailableError`` or ``LineNotSpokenError``.
    """
    session = replace(
        wanted.endpoint.session, instructions=INSTRUCTIONS, tools=(), tool_choice="none"
    )
    leg = ModelLeg(replace(wanted.endpoint, session=session), unhandled)
    take = _Take()
    try:
        await leg.open()
        leg.bind(take.received, take.closed, lambda paused: None)
        leg.send(rt.CreateResponse(f'Say exactly this and nothing else: "{wanted.text}"'))
        async with asyncio.timeout(SPOKEN_WITHIN_S):
            how = await take.over
    except TimeoutError:
        raise LineNotSpokenError("the model did not finish in time") from None
    finally:
        leg.close()
    if how != "completed" or not take.audio:
        raise LineNotSpokenError(f"the response ended as {how}")
    if likeness(take.words, wanted.text) < LIKENESS or adds_words(take.words, wanted.text):
        raise LineNotSpokenError("the model said something else")
    return b"".join(take.audio)


def likeness(said: str, wanted: str) -> float:
    """How alike two sentences are word by word, 0 to 1, whatever their case and punctuation."""
    return SequenceMatcher(None, _words(said), _words(wanted)).ratio()


def adds_words(said: str, wanted: str) -> bool:
    """Whether anything was said before or after the sentence, such as "Certainly!"."""
    changes = SequenceMatcher(None, _words(wanted), _words(said)).get_opcodes()
    return bool(changes) and "insert" in (changes[0][0], changes[-1][0])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


async def make_lines(
    wanted: Iterable[WantedLine], cache: LineCache, unhandled: UnhandledCounter
) -> int:
    """Make what the cache does not have, one after the other. How many are still missing.

    Of several processes that share the cache one makes them all. A line that cannot be made is
    logged and left: calls work without it, only later.
    """
    missing = [line for line in wanted if not _is_there(line, cache)]
    if not missing:
        return 0
    try:
        async with making_alone(cache.folder):
            return await _make_missing(missing, cache, unhandled)
    except OSError as error:
        _log.warning("lines_not_made", reason=str(error)[:200])
        return len(missing)


async def _make_missing(
    wanted: Iterable[WantedLine], cache: LineCache, unhandled: UnhandledCounter
) -> int:
    missing = 0
    for line in wanted:
        if not _is_there(line, cache):  # another process was first
            missing += not await _make(line, cache, unhandled)
    return missing


def _is_there(line: WantedLine, cache: LineCache) -> bool:
    session = line.endpoint.session
    return cache.get(session.voice, session.model, line.text) is not None


async def _make(line: WantedLine, cache: LineCache, unhandled: UnhandledCounter) -> bool:
    session = line.endpoint.session
    for attempt in range(1, TRIES + 1):
        try:
            cache.put(session.voice, session.model, line.text, await speak_line(line, unhandled))
        except (ModelUnavailableError, LineNotSpokenError, OSError) as error:
            _log.warning("line_not_made", attempt=attempt, reason=str(error)[:200])
        else:
            _log.info("line_made", voice=session.voice, model=session.model)
            return True
    return False
