"""Finds marked frames in a stream of mu-law, however it was cut into messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from loadtest.harness import watermark
from loadtest.harness.watermark import MARK_BYTES
from loadtest.twilio.wire import FRAME_BYTES

Known: TypeAlias = Callable[[int, int], bool]
"""Whether this stream may have had this frame by now."""
GIVE_UP_BYTES = 60 * 8000
"""A minute without a single mark: this audio was made anew on its way, and is not looked at."""


class FrameReader:
    """One direction of one call or session. ``found`` is told stream, frame and offset.

    The offset is that of the frame's first byte in the piece handed in; it is negative where the
    frame began in an earlier one. A frame counts when its last byte has come.
    """

    def __init__(self, key: int, known: Known, found: Callable[[int, int, int], None]) -> None:
        self._key = key
        self._known = known
        self._found = found
        self._rest = b""
        self._in_step = False
        """What comes next is a frame's first byte, as far as we know."""
        self._unread_bytes = 0
        self.frames = 0
        self.strange_bytes = 0
        """Audio that belongs to no frame; stretches of a single code are not counted."""

    @property
    def unreadable(self) -> bool:
        """Enough audio came, and none of it was marked."""
        return not self.frames and self._unread_bytes >= GIVE_UP_BYTES

    def forget(self) -> None:
        """What comes next does not continue what came."""
        self._rest = b""
        self._in_step = False

    def read(self, ulaw: bytes) -> None:
        if not self._rest and len(ulaw) == FRAME_BYTES:
            mark = watermark.read(self._key, ulaw)
            if mark is not None and self._known(*mark):
                self._in_step = True
                self.frames += 1
                self._found(*mark, 0)
                return
        before = self.frames
        if not self.unreadable:
            self._read(ulaw)
        if ulaw.count(ulaw[:1]) < len(ulaw):
            self.strange_bytes += len(ulaw) - (self.frames - before) * FRAME_BYTES

    def _read(self, ulaw: bytes) -> None:
        audio, start = self._rest + ulaw, -len(self._rest)
        offset = 0
        while len(audio) - offset >= FRAME_BYTES:
            mark = watermark.read(self._key, audio[offset : offset + MARK_BYTES])
            self._in_step = self._in_step and mark is not None and self._known(*mark)
            if mark is None or not self._in_step:
                place = self._next(audio, offset)
                if place is None:
                    offset = len(audio) - FRAME_BYTES + 1
                    break
                offset = place
                self._in_step = True
                continue
            self.frames += 1
            self._found(*mark, start + offset)
            offset += FRAME_BYTES
        self._rest = audio[offset:]

    def _next(self, audio: bytes, offset: int) -> int | None:
        """The next place with a whole frame that is known.

        A mark read some bytes too early or too late may pass for another: where a frame lies over
        one that goes on behind it, the latter is meant.
        """
        rest = audio[offset:]
        whole = [
            (place, stream, frame)
            for place, stream, frame in watermark.find(self._key, rest)
            if len(rest) - place >= FRAME_BYTES and self._known(stream, frame)
        ]
        if not whole:
            self._unread_bytes += len(rest)
            return None
        over = (one for one in whole if one[0] < whole[0][0] + FRAME_BYTES)
        place = next((one[0] for one in over if self._goes_on(rest, *one)), whole[0][0])
        self._unread_bytes += place
        return offset + place

    def _goes_on(self, audio: bytes, place: int, stream: int, frame: int) -> bool:
        behind = audio[place + FRAME_BYTES : place + FRAME_BYTES + MARK_BYTES]
        return len(behind) == MARK_BYTES and watermark.read(self._key, behind) == (
            stream,
            frame + 1,
        )
