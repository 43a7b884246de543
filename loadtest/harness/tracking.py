"""Follows every frame of every call: out of the caller, into the model, and back to the ear.

Both ends are in this process and share one clock. A call is known to the model by the marks in the
caller's audio, a session to the caller by those in the model's.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field

from loadtest.harness import watermark
from loadtest.harness.answers import Answer, audible
from loadtest.harness.following import Strays
from loadtest.harness.framereader import FrameReader
from loadtest.harness.meter import Meter
from loadtest.harness.unheard import UnheardCall, UnheardSession, unheard_frames
from loadtest.harness.watermark import DOWNLINK, NUMBER_LIMIT, UPLINK
from loadtest.realtime import KnownCall, SessionRecord
from loadtest.realtime.record import ResponseRecord
from loadtest.twilio.playout import BYTES_PER_SECOND
from loadtest.twilio.wire import FRAME_BYTES

LATE_MS = 100.0
"""A caller frame that is under way for longer is counted as late."""
HEARD_BY_ANOTHER = "audio for one caller reached another"
TOLD_TO_ANOTHER = "audio of one caller reached the model's session of another"


class CallTrack:
    """The caller's end of one call."""

    def __init__(self, number: int, known: KnownCall | None) -> None:
        self.number = number
        self.known = known
        self.sent = array("d")
        """When each frame went out, by its number."""
        self.sessions: dict[int, SessionTrack] = {}
        self.arrived = array("L")
        """Numbers of the frames that came to the model, as they came."""
        self.watched: dict[int, float] = {}
        """Frames whose arrival is of interest; 0.0 until then."""
        self.heard: dict[tuple[int, int], float] = {}
        """Session and frame of model audio: when it was, or would have been, at the ear."""
        self.cut: set[tuple[int, int]] = set()
        """Those of them that a clear or the stream's end threw away."""
        self.again = array("d")
        """When frames of the model came to the ear that had been there before."""
        self.strange_bytes = 0
        """Audio for the caller that the model did not number, or that was changed."""
        self.first_media_after: float | None = None
        self.crossed: str | None = None
        """How its audio met that of another call, if it did."""

    def let_go(self) -> None:
        """The call is over and judged: what refers back to it need not keep what it measured."""
        for held in (self.watched, self.heard, self.cut, self.sessions):
            held.clear()
        del self.sent[:], self.arrived[:], self.again[:]


class Ear:
    """The listener on a caller's line: reads the model's marks from what arrives."""

    def __init__(self, track: CallTrack, tracker: Tracker) -> None:
        self._track = track
        self._tracker = tracker
        self._batch = tracker.meter.batch("downlink")
        self._reader = FrameReader(DOWNLINK, tracker.session_has_sent, self._found)
        self._strays = Strays()
        self._now = self._starts = 0.0

    def heard(self, ulaw: bytes, starts: float) -> None:
        self._now, self._starts = time.monotonic(), starts
        if self._track.first_media_after is None:
            self._track.first_media_after = self._now
        if self._tracker.follows_model:
            self._reader.read(ulaw)
            self._track.strange_bytes = self._reader.strange_bytes

    def cut(self, now: float) -> None:
        self._reader.forget()
        track = self._track
        for key, plays_at in reversed(track.heard.items()):
            if plays_at < now:
                break
            track.cut.add(key)
        while track.again and track.again[-1] >= now:
            track.again.pop()

    def _found(self, stream: int, frame: int, offset: int) -> None:
        session, track = self._tracker.sessions[stream], self._track
        key, plays_at = (stream, frame), self._starts + offset / BYTES_PER_SECOND
        if key in track.heard:
            self._found_again(key, plays_at)
            return
        if session.call is not track:
            self._tracker.crossed(self._strays.add(stream), HEARD_BY_ANOTHER, session.call, track)
            return
        track.heard[key] = plays_at
        self._batch.append(int((self._now - session.sent[frame]) * 1_000_000))

    def _found_again(self, key: tuple[int, int], plays_at: float) -> None:
        """Heard twice, unless it was thrown away the first time."""
        track = self._track
        if key not in track.cut:
            track.again.append(plays_at)
            return
        track.cut.discard(key)
        del track.heard[key]
        track.heard[key] = plays_at  # behind all others: it plays after them


class SessionTrack:
    """The model's end: a tap of one simulated session."""

    def __init__(self, number: int, tracker: Tracker) -> None:
        self.number = number
        self.call: CallTrack | None = None
        self.sent = array("d")
        """When each marked frame of answers went out, by its number."""
        self.answers: list[Answer] = []
        self.stops: list[float] = []
        """When the model noticed that the caller had finished."""
        self.first_audio: list[float] = []
        """When the model's answers began to leave."""
        self.configured_at: float | None = None
        self.closed_at: float | None = None
        self._heard = False
        self._offered = ""
        """The last response whose audio could be numbered."""
        self._tracker = tracker
        self._uplink = tracker.meter.batch("uplink")
        self._counts = tracker.meter.counts
        self._reader = FrameReader(UPLINK, tracker.call_has_sent, self._found)
        self._strays = Strays()
        self._stopped: float | None = None
        self._begun: set[str] = set()

    # --- what came in ---------------------------------------------------------------------------

    def appended(self, audio: bytes) -> None:
        self._heard = True
        self._reader.read(audio)

    def _found(self, stream: int, frame: int, _offset: int) -> None:
        now = time.monotonic()
        call = self._tracker.calls[stream]
        if self.call is not call and not self._belongs_to(call):
            return
        call.arrived.append(frame)
        if frame in call.watched:
            call.watched[frame] = now
        sent = call.sent[frame]
        if self.configured_at is None or sent < self.configured_at:
            self._counts["held_frames"] += 1
            return
        self._uplink.append(int((now - sent) * 1_000_000))
        if now - sent > LATE_MS / 1000:
            self._counts["late_frames"] += 1

    def _belongs_to(self, call: CallTrack) -> bool:
        """A session is that of the caller who was heard in it first, as long as that call lasts."""
        owner, tracker = self.call, self._tracker
        if owner is not None:
            strays = self._strays.add(call.number)
            by_chance = self._reader.frames - self._strays.total == 1
            if not strays or not (by_chance or tracker.is_over(owner)):
                tracker.crossed(strays, TOLD_TO_ANOTHER, owner, call)
                return False
            if by_chance:
                owner.sessions.pop(self.number, None)
            else:
                tracker.crossed(strays, TOLD_TO_ANOTHER, owner, call)
            self._strays = Strays()
        self.call = call
        call.sessions[self.number] = tracker.sessions[self.number] = self
        return True

    def configured(self) -> None:
        if self.configured_at is None:
            self.configured_at = time.monotonic()

    def known_call(self) -> KnownCall | None:
        return None if self.call is None else self.call.known

    # --- what went out --------------------------------------------------------------------------

    def speech_stopped(self) -> None:
        self._stopped = time.monotonic()
        self.stops.append(self._stopped)

    def speaking(self, ulaw: bytes, response: ResponseRecord) -> bytes:
        """Marked only for a caller who is known: what is said to nobody may be kept for others."""
        self._offered = response.response_id
        if self.call is None:
            return ulaw
        first = len(self.sent)
        audio = ulaw + b"\xff" * (-len(ulaw) % FRAME_BYTES)
        if first + len(audio) // FRAME_BYTES >= NUMBER_LIMIT:
            return ulaw
        answer = Answer(first, response, audible(audio, first), time.monotonic(), len(audio))
        answer.end = first
        self.answers.append(answer)
        self._tracker.meter.following.numbered += 1
        return watermark.mark_all(DOWNLINK, self.number, first, audio)

    def spoke(self, byte_count: int, response: ResponseRecord) -> None:
        now = time.monotonic()
        if response.response_id not in self._begun:
            self._begun.add(response.response_id)
            offered = response.response_id == self._offered
            self._tracker.meter.following.not_mulaw += not offered and self.call is not None
            self.first_audio.append(now)
            if self._stopped is not None:
                self._tracker.meter.latency("first_model_audio", (now - self._stopped) * 1000)
                self._stopped = None
        answer = self.answers[-1] if self.answers else None
        if answer is None or answer.response is not response:
            return
        answer.sent_bytes += byte_count
        end = answer.first + answer.sent_bytes // FRAME_BYTES
        self.sent.extend([now] * (end - answer.end))
        answer.end = end

    def answered(self, response: ResponseRecord) -> None:
        """Nothing is due then: the record says how it ended."""

    def closed(self) -> None:
        if self.closed_at is None:
            self.closed_at = time.monotonic()
            self._tracker.closed(self)

    @property
    def strange_bytes(self) -> int:
        return self._reader.strange_bytes

    @property
    def unheard(self) -> UnheardSession | None:
        """As what it is kept where it was set up and heard nothing at all."""
        if self._heard or self.configured_at is None:
            return None
        return UnheardSession(next(iter(self.first_audio), None), self.closed_at)


@dataclass(eq=False)
class Tracker:
    """All calls and sessions of a run. ``follows_model``: the model is ours and marks its audio."""

    meter: Meter
    follows_model: bool
    calls: dict[int, CallTrack] = field(default_factory=dict)
    sessions: dict[int, SessionTrack] = field(default_factory=dict)
    sessions_seen: int = 0
    _placed: int = 0
    _unheard_calls: list[UnheardCall] = field(default_factory=list)
    _unheard_sessions: list[UnheardSession] = field(default_factory=list)

    def call(self, known: KnownCall | None) -> CallTrack:
        """A call is about to be placed."""
        track = CallTrack(self._placed % NUMBER_LIMIT, known)
        self._placed += 1
        self.calls[track.number] = track
        return track

    def session(self, _record: SessionRecord) -> SessionTrack:
        """A connection to the model was opened: the server's maker of taps."""
        track = SessionTrack(self.sessions_seen % NUMBER_LIMIT, self)
        self.sessions_seen += 1
        self.sessions[track.number] = track
        return track

    def forget(self, call: CallTrack) -> None:
        """The call is over and measured; its sessions serve nobody else."""
        self.calls.pop(call.number, None)
        for number in call.sessions:
            self.sessions.pop(number, None)
        if call.sent and not call.arrived:
            self._unheard_calls.append(UnheardCall(call.sent[0], call.sent[-1], len(call.sent)))

    def closed(self, session: SessionTrack) -> None:
        """The session is over; one that nobody was heard in will not be looked for again."""
        if session.call is not None:
            return
        self.sessions.pop(session.number, None)
        if (unheard := session.unheard) is not None:
            self._unheard_sessions.append(unheard)

    def unheard_frames(self, under_way_s: float) -> int:
        """Lost frames of the calls so far of which nothing reached the session that served them."""
        still_open = (one.unheard for one in self.sessions.values() if one.call is None)
        sessions = [*self._unheard_sessions, *(one for one in still_open if one is not None)]
        return unheard_frames(self._unheard_calls, sessions, under_way_s)

    def is_over(self, call: CallTrack) -> bool:
        return self.calls.get(call.number) is not call

    def crossed(self, frames: int, how: str, *calls: CallTrack | None) -> None:
        """So many frames more of one call came out in another: both have failed."""
        if not frames:
            return
        self.meter.counts["crossed_frames"] += frames
        for call in calls:
            if call is not None:
                call.crossed = how

    def call_has_sent(self, stream: int, frame: int) -> bool:
        call = self.calls.get(stream)
        return call is not None and frame < len(call.sent)

    def session_has_sent(self, stream: int, frame: int) -> bool:
        session = self.sessions.get(stream)
        return session is not None and frame < len(session.sent)
