"""What the server sends on a media stream: read strictly, played on the clock, marks echoed."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import assert_never

from loadtest.twilio import wire
from loadtest.twilio.journal import Journal
from loadtest.twilio.line import CallLine
from loadtest.twilio.notices import Code
from loadtest.twilio.playout import LIMIT_MS, Played, Playout, Queued
from loadtest.twilio.stream_report import StreamReport

LONGEST_GAP_S = 5.0
"""An assistant that is quiet for longer has finished; what it says then is something new."""


class Reception:
    """The receiving half of a stream. ``echo`` sends a mark back; after ``close`` it is quiet."""

    def __init__(
        self, report: StreamReport, line: CallLine, journal: Journal, echo: Callable[[str], None]
    ) -> None:
        self._report = report
        self._line = line
        self._journal = journal
        self._send_echo = echo
        self._playout = Playout(LIMIT_MS, keep_audio=line.recorded)
        self._mark_timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def played(self) -> list[Played]:
        """The audio that was really played."""
        return self._playout.runs

    def close(self, now: float) -> None:
        """The stream is over: what is still queued will not be heard."""
        self._closed = True
        self._stop_timer()
        self._report.cut_ms = round(self._playout.buffered_ms(now))
        self._playout.cut(now)
        self._line.cut(now, stream_over=True)

    def refuse(self, code: Code, message: str) -> None:
        """Drop one message with a notice."""
        if not self._closed:
            self._report.messages_received += 1
            self._drop(code, message)

    def receive(self, text: bytes) -> None:
        """One text message."""
        if self._closed:
            return
        self._report.messages_received += 1
        try:
            message = wire.decode(text, self._report.stream_sid)
        except wire.InvalidMessage as error:
            self._drop(Code.STREAM_INVALID_MESSAGE, str(error))
            return
        now = time.monotonic()
        match message:
            case wire.PlayMedia(ulaw):
                self._play(ulaw, now)
            case wire.PlaceMark(name):
                self._report.marks_received += 1
                self._playout.mark(name, now)
                self._echo_reached()
            case wire.Clear():
                self._clear(now)
            case _:
                assert_never(message)

    def _drop(self, code: Code, message: str) -> None:
        self._report.messages_dropped += 1
        self._journal.error(code, message, self._report.stream_sid)

    def _play(self, ulaw: bytes, now: float) -> None:
        self._report.audio_bytes_received += len(ulaw)
        queued = self._playout.media(ulaw, now)
        if queued is None:
            self._journal.warning(
                Code.STREAM_BUFFER_OVERFLOW,
                "more than 10 minutes of audio buffered, media thrown away",
                self._report.stream_sid,
            )
            return
        if self._is_gap(queued):
            gap_ms = round(queued.gap_s * 1000)
            self._report.playout_gaps_ms.append(gap_ms)
            self._journal.event("playout_gap", queued.start, gap_ms=gap_ms)
        self._line.hear(ulaw, queued.start)

    def _is_gap(self, queued: Queued) -> bool:
        """Whether nothing could be heard in the middle of an answer, because audio came late.

        Nobody can tell a long stall from an end after which something new is said: so up to
        ``LONGEST_GAP_S``, as long as the caller says nothing meanwhile.
        """
        if queued.gap_s <= 0 or not math.isfinite(queued.gap_s):
            return False
        if self._line.ear.speaking:
            return True
        began = queued.start - queued.gap_s
        return queued.gap_s <= LONGEST_GAP_S and self._line.has_listened_since(began)

    def _clear(self, now: float) -> None:
        self._echo_reached()
        self._report.clears += 1
        buffered_ms = round(self._playout.buffered_ms(now))
        names = self._playout.clear(now)
        self._journal.event("clear", now, buffered_ms=buffered_ms, marks=len(names))
        self._line.cut(now)
        self._stop_timer()
        for name in names:
            self._echo(name, reached=False)

    # --- marks --------------------------------------------------------------------------------

    def _echo_reached(self) -> None:
        """Echo what is reached, and wake up again for the next."""
        self._stop_timer()
        for name in self._playout.reached(time.monotonic()):
            self._echo(name, reached=True)
        due = self._playout.next_mark_at
        if due is not None:
            # Never early: a mark echoed before its audio was played would be a lie. Timers count
            # in milliseconds, so round up.
            wait_s = max(0.001, math.ceil((due - time.monotonic()) * 1000) / 1000)
            loop = asyncio.get_running_loop()
            self._mark_timer = loop.call_later(wait_s, self._echo_reached)

    def _stop_timer(self) -> None:
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None

    def _echo(self, name: str, *, reached: bool) -> None:
        self._report.marks_echoed += 1
        self._journal.event("mark", name=name, reached=reached)
        self._send_echo(name)
