"""One caller's telephone line: 20 ms of the caller's voice at a time, and the caller's ear.

The line runs from the answer to the end of the call, whatever document runs. A media stream, while
there is one, gets every frame; a recording verb may listen in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from loadtest.twilio.audio import SILENCE, Clip, Frame
from loadtest.twilio.bell import Bell
from loadtest.twilio.fittings import PLAIN, Fittings, Sink
from loadtest.twilio.hearing import Change, Ear, SpellStarted
from loadtest.twilio.journal import Journal
from loadtest.twilio.recorder import Recorder

Tap: TypeAlias = Callable[[Frame, float], None]


class CallLine:
    """A ticker of the pacing wheel. ``background`` is what is on the line while nobody speaks."""

    def __init__(
        self,
        journal: Journal,
        recorder: Recorder | None = None,
        background: Sequence[Frame] = (SILENCE,),
        fittings: Fittings = PLAIN,
    ) -> None:
        self._journal = journal
        self._recorder = recorder
        self._background = background
        self._carrier = fittings.carrier
        self._listener = fittings.listener
        self._ticks = 0
        self._clip: Clip | None = None
        self._position = 0
        self._talking = False
        self._spoken: asyncio.Future[None] | None = None
        self.ear = Ear()
        self.bell = Bell()
        self.sink: Sink | None = None
        self.tap: Tap | None = None
        self.spell_started: float | None = None
        self.turn_over = journal.timeline.started
        self.failure: Exception | None = None

    @property
    def recorded(self) -> bool:
        """Whether somebody wants the audio when the call is over."""
        return self._recorder is not None

    def has_listened_since(self, moment: float) -> bool:
        """Whether the caller has said nothing from then on."""
        return not self._talking and self.turn_over <= moment

    # --- the wheel ----------------------------------------------------------------------------

    def tick(self, due: float) -> None:
        if self._clip is None:
            self._ticks += 1
            frame = self._background[self._ticks % len(self._background)]
        else:
            frame = self._next_frame(self._clip, due)
        if self._recorder is not None:
            self._recorder.caller_frame(frame.ulaw, due)
        if self.sink is not None:
            if self._carrier is None:
                self.sink.send_media(frame.payload)
            else:
                self._carrier.carry(frame, self.sink)
        if self.tap is not None:
            self.tap(frame, due)
        if due >= self.ear.next_change_at:
            self.tell(self.ear.advance(due))

    def failed(self, error: Exception) -> None:
        self.failure = error
        self.hush()
        self.bell.ring()

    def _next_frame(self, clip: Clip, due: float) -> Frame:
        position = self._position
        self._position += 1
        if clip.speech is not None:
            self._note_speech(clip.speech, position, due)
        if self._position == len(clip.frames):
            self._clip = None
            _finish(self._spoken)
        return clip.frames[position]

    # --- the caller's voice -------------------------------------------------------------------

    async def speak(self, clip: Clip) -> None:
        """Say ``clip``, beginning with the next frame; returns when its last frame has left."""
        if self._clip is not None:
            raise RuntimeError(f"already saying {self._clip.name}, cannot say {clip.name} as well")
        if self.failure is not None:
            raise self.failure
        self._spoken = asyncio.get_running_loop().create_future()
        self._clip, self._position = clip, 0
        try:
            await self._spoken
        finally:
            self._clip, self._talking = None, False
        if self.failure is not None:
            raise self.failure

    def hush(self) -> None:
        """Break off what is being said."""
        self._clip, self._talking = None, False
        _finish(self._spoken)

    def _note_speech(self, speech: tuple[int, int], position: int, due: float) -> None:
        first, last = speech
        if position == first:
            self._talking = True
            self.tell(self.ear.advance(due))
            over = self.ear.is_audible(due)
            self._journal.event("caller_speech_started", due, over_assistant=over)
        if position == last:
            self.turn_over = due
            self._talking = False
            # What was over by now is told first: nobody was talked over by it.
            self.tell(self.ear.settle(due))
            self._journal.event("caller_speech_ended", due)
            self.bell.ring()

    # --- the caller's ear ---------------------------------------------------------------------

    def hear(self, ulaw: bytes, start: float) -> None:
        """Assistant audio was queued and will be at the ear from ``start`` on."""
        if self._listener is not None:
            self._listener.heard(ulaw, start)
        self.ear.heard(ulaw, start)
        self.bell.ring()

    def cut(self, now: float, *, stream_over: bool = False) -> None:
        """Whatever was queued for the ear is gone: by a clear, or with the stream itself."""
        if self._listener is not None:
            self._listener.cut(now)
        self.tell(self.ear.cut(now), stream_over=stream_over)
        self.bell.ring()

    def tell(self, changes: list[Change], *, stream_over: bool = False) -> None:
        for change in changes:
            if isinstance(change, SpellStarted):
                self.spell_started = change.at
                self._journal.event("assistant_started", change.at)
            else:
                self.spell_started = None
                gone = {"stream_over": True} if change.cut and stream_over else {}
                self._journal.event("assistant_stopped", change.at, cut=change.cut, **gone)
            self.bell.ring()


def _finish(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
