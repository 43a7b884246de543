"""One call as its caller hears it: turns, answers, barge-ins, greeting, from what happens live."""

from __future__ import annotations

from dataclasses import dataclass, field

from loadtest.harness.meter import Meter
from loadtest.harness.tracking import CallTrack
from loadtest.twilio import CallEvent

AGAIN_WITHIN_S = 1.0
"""Assistant audio so soon after the caller cut it is the old answer, not a new one."""
MARK_SLACK_S = 0.05
"""A mark that is reached so shortly before the end of what is audible still follows it."""


@dataclass(slots=True)
class TurnLog:
    """One thing the caller said. Times are monotonic seconds."""

    number: int
    started: float
    ended: float | None = None
    answered: float | None = None
    overlapped: bool = False
    """The assistant was speaking when it ended: there is no answer to wait for."""
    last_frame: int | None = None
    media_at: float | None = None
    """The first message of audio after it."""
    marked: float | None = None
    """The first mark of the answer was reached."""

    @property
    def waiting(self) -> bool:
        return self.ended is not None and self.answered is None and not self.overlapped


@dataclass(slots=True)
class _Spoken:
    """The assistant between two turns of the caller."""

    began: float
    ended: float | None = None
    marked: float | None = None
    longest_gap_ms: float = 0.0
    cut: bool = False


@dataclass(slots=True)
class CallLog:
    """Observer of one call."""

    meter: Meter
    track: CallTrack
    turns: list[TurnLog] = field(default_factory=list)
    speech: list[tuple[float, float]] = field(default_factory=list)
    """When the caller spoke: start and end; the end is infinite while it lasts."""
    clears: list[float] = field(default_factory=list)
    stream_started: float | None = None
    stream_ended: float | None = None
    heard_anything: bool = False
    _webhook: float | None = None
    _speaking: bool = False
    _answer: _Spoken | None = None
    _barge_in: float | None = None
    _cut_at: float | None = None
    _handed_over: bool = False

    def __call__(self, event: CallEvent) -> None:
        match event.kind:
            case "caller_speech_started":
                self._caller_started(event.at, bool(event.data.get("over_assistant")))
            case "caller_speech_ended":
                self._caller_ended(event.at)
            case "assistant_started":
                self._assistant_started(event.at)
            case "assistant_stopped":
                self._assistant_stopped(event.at, cut=bool(event.data.get("cut")))
            case "playout_gap":
                self._gap(event.data.get("gap_ms"))
            case "mark" if event.data.get("reached"):
                self._mark(event.at)
            case "clear":
                self.clears.append(event.at)
            case "webhook":
                self._webhook = event.at if event.data.get("purpose") == "voice" else self._webhook
            case "stream_started":
                self._stream_started(event.at)
            case "stream_closed" | "stream_refused":
                self.stream_ended = event.at if self.stream_ended is None else self.stream_ended
            case "verb" | "outcome":
                self._went_on(event.at)
            case _:
                pass

    # --- the caller -----------------------------------------------------------------------------

    def _caller_started(self, at: float, over: bool) -> None:
        self._close_answer(interrupted=over)
        self.turns.append(TurnLog(len(self.turns) + 1, at))
        self.speech.append((at, float("inf")))
        self._barge_in = at if over else None
        self._cut_at = None

    def _caller_ended(self, at: float) -> None:
        if not self.turns:
            return
        turn = self.turns[-1]
        turn.ended = at
        turn.overlapped = self._speaking
        turn.last_frame = len(self.track.sent)
        self.track.watched[turn.last_frame] = 0.0
        self.track.first_media_after = None
        self.speech[-1] = (self.speech[-1][0], at)
        self.meter.counts["turns"] += 1

    # --- the assistant --------------------------------------------------------------------------

    def _assistant_started(self, at: float) -> None:
        self._speaking = True
        self._note_again(at)
        turn = self.turns[-1] if self.turns else None
        if turn is not None and turn.waiting:
            turn.answered, turn.media_at = at, self.track.first_media_after
            self.meter.latency("first_audio_out", (at - (turn.ended or at)) * 1000)
        elif turn is None and not self.heard_anything and self.stream_started is not None:
            self.meter.latency("greeting", (at - self.stream_started) * 1000)
        self.heard_anything = True
        if self._answer is None:
            self._answer = _Spoken(at)
            self.meter.counts["answers"] += 1

    def _note_again(self, at: float) -> None:
        """The same answer once more, after the caller has cut it and goes on speaking?"""
        speaking = bool(self.turns) and self.turns[-1].ended is None
        if speaking and self._cut_at is not None and at - self._cut_at < AGAIN_WITHIN_S:
            self.meter.counts["audio_after_end"] += 1
            self._cut_at = None

    def _assistant_stopped(self, at: float, *, cut: bool) -> None:
        self._speaking = False
        answer = self._answer
        if answer is not None:
            answer.ended, answer.cut = at, cut
        if self._barge_in is not None:
            if cut:
                self.meter.latency("barge_in", (at - self._barge_in) * 1000)
                self._cut_at = at
            self._barge_in = None

    def _gap(self, gap_ms: object) -> None:
        if self._answer is not None and isinstance(gap_ms, int | float):
            self._answer.longest_gap_ms = max(self._answer.longest_gap_ms, float(gap_ms))

    def _mark(self, at: float) -> None:
        if self._answer is not None:
            self._answer.marked = at
        turn = self.turns[-1] if self.turns else None
        if turn is not None and turn.answered is not None and turn.marked is None:
            turn.marked = at

    def _close_answer(self, *, interrupted: bool) -> None:
        """The assistant's turn is over, so that it can be judged."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        self.meter.latency("answer_gaps", answer.longest_gap_ms)
        if interrupted or answer.cut or answer.ended is None:
            return
        if answer.marked is None or answer.marked < answer.ended - MARK_SLACK_S:
            self.meter.counts["unmarked_answers"] += 1

    # --- the call -------------------------------------------------------------------------------

    def _stream_started(self, at: float) -> None:
        self.stream_ended = None
        if self.stream_started is None and self._webhook is not None:
            self.meter.latency("setup", (at - self._webhook) * 1000)
        self.stream_started = at

    def _went_on(self, at: float) -> None:
        """The next verb or the end; only the webhook's way has something to hand over to."""
        if self._handed_over or self.stream_ended is None or self._webhook is None:
            return
        if self.stream_started is not None:
            self._handed_over = True
            self.meter.latency("handover", (at - self.stream_ended) * 1000)

    def close(self) -> None:
        """The call is over."""
        self._close_answer(interrupted=self._speaking)
