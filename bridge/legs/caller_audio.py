"""The caller's audio on its way to the model: one small object, touched 50 times a second.

While the model cannot take audio (it is being reached, or its socket is full) frames are held, the
oldest dropped first and counted, so that the caller's first words are not lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

from picows import WSMsgType

from audiocodecs import base64_length
from bridge.call.turns import AudioClock
from bridge.protocol.realtime import encode_append
from bridge.protocol.twilio_stream import BYTES_PER_MS, FRAME_MS

HELD_FRAMES = 300
"""Six seconds."""
FRAME_CHARS = 216
"""Base64 characters of a usual 160-byte frame."""
_TEXT = WSMsgType.TEXT

Send = Callable[[WSMsgType, bytes], None]


class CallerAudio(AudioClock):
    """Counts, and passes on or holds. ``clock`` times are those of ``time.monotonic``."""

    __slots__ = ("_held", "_send", "dropped", "frames")

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        self.dropped = 0
        self._held: deque[str] = deque()
        self._send: Send | None = None

    def push(self, payload: str) -> None:
        """One frame of base64 mu-law. Does not block, log or await."""
        self.last_frame_at = monotonic()
        self.frames += 1
        send = self._send
        if send is None:
            self._hold(payload)
            return
        if len(payload) == FRAME_CHARS:
            self.appended_ms += FRAME_MS
        else:
            self.appended_ms += base64_length(payload) // BYTES_PER_MS
        send(_TEXT, encode_append(payload))

    def flow(self, send: Send) -> None:
        """The model takes audio from now on, what was held first."""
        self._send = send
        held, self._held = self._held, deque()
        frames, last_frame_at = self.frames, self.last_frame_at
        for payload in held:
            self.push(payload)
        self.frames, self.last_frame_at = frames, last_frame_at

    def hold(self) -> None:
        """The model takes no audio for now."""
        self._send = None

    @property
    def flowing(self) -> bool:
        return self._send is not None

    def _hold(self, payload: str) -> None:
        if len(self._held) >= HELD_FRAMES:
            self._held.popleft()
            self.dropped += 1
        self._held.append(payload)
