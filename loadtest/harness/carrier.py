"""Between the caller and Twilio: the line's faults, and the number in each frame that is sent."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque

from loadtest.harness import watermark
from loadtest.harness.callers import Prepared
from loadtest.harness.tracking import CallTrack
from loadtest.harness.watermark import NUMBER_LIMIT, UPLINK, Blank
from loadtest.scenarios import LineConditions
from loadtest.twilio import Sink
from loadtest.twilio.audio import Frame
from loadtest.twilio.wire import FRAME_MS


class MarkingCarrier:
    """A line without faults: each frame is numbered, its time noted, and sent.

    ``marks`` off leaves the audio as it is, where nobody will read the numbers.
    """

    def __init__(self, track: CallTrack, *, marks: bool) -> None:
        self._sent = track.sent
        self._number = track.number
        self._marks = marks

    def carry(self, frame: Frame, sink: Sink) -> None:
        sent = self._sent
        number = len(sent)
        sent.append(time.monotonic())
        if self._marks and number < NUMBER_LIMIT:
            blank = frame.blank if isinstance(frame, Prepared) else Blank.of(frame)
            sink.send_media(blank.marked(watermark.word(UPLINK, self._number, number)))
        else:
            sink.send_media(frame.payload)


class FaultyCarrier:
    """Loses and delays frames before they are numbered: what is lost here never reached Twilio."""

    def __init__(
        self, inner: MarkingCarrier, conditions: LineConditions, rng: random.Random
    ) -> None:
        self._inner = inner
        self._conditions = conditions
        self._rng = rng
        self._losing = False
        self._under_way: deque[tuple[Frame, Sink]] = deque()
        self._last_arrival = 0.0
        self._stands_until = 0.0

    def carry(self, frame: Frame, sink: Sink) -> None:
        if self._lost():
            return
        now = time.monotonic()
        jitter_s = self._rng.random() * self._conditions.jitter_ms / 1000
        arrival = max(now + jitter_s, self._standing(now), self._last_arrival)
        self._last_arrival = arrival
        if arrival <= now and not self._under_way:
            self._inner.carry(frame, sink)
            return
        self._under_way.append((frame, sink))
        asyncio.get_running_loop().call_later(arrival - now, self._arrive)

    def _arrive(self) -> None:
        """One timer for each frame, and they keep their order."""
        self._inner.carry(*self._under_way.popleft())

    def _lost(self) -> bool:
        """Two states, as in Gilbert's model: runs of lost packets of the wanted mean length."""
        conditions = self._conditions
        share = conditions.loss_percent / 100
        if not share:
            return False
        ends = 1 / conditions.loss_run
        begins = min(1.0, ends * share / (1 - share))
        self._losing = self._rng.random() < ((1 - ends) if self._losing else begins)
        return self._losing

    def _standing(self, now: float) -> float:
        """Until when the line stands still."""
        conditions = self._conditions
        if not conditions.burst_ms or now < self._stands_until:
            return self._stands_until
        if self._rng.random() < FRAME_MS / conditions.burst_every_ms:
            self._stands_until = now + conditions.burst_ms / 1000
        return self._stands_until
