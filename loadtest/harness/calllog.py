"""One call as its caller hears it: turns, answers, barge-ins, greeting, from what happens live."""

from __future__ import annotations

from dataclasses import dataclass, field

from loadtest.harness.gaps import longest_gap_ms
from loadtest.harness.meter import Meter
from loadtest.harness.tracking import CallTrack
from loadtest.twilio import CallEvent

AGAIN_WITHIN_S = 1.0
"""Assistant audio so soon after it fell silent for the caller is the old answer, not a new one,"""
TOO_SOON_S = 0.3
"""if the caller still speaks, or has finished so shortly before that nobody could have answered."""
IGNORED_AFTER_S = 1.0
"""An assistant that talks on for longer over the caller did not give way."""
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
    """The assistant still speaks since before it ended: no answer is waited for yet."""
    old_over: float | None = None
    """The end of what the assistant was still saying; the answer is waited for from there."""
    last_frame: int | None = None
    media_at: float | None = None
    """The first message of audio after it."""
    marked: float | None = None
    """The first mark of the answer was reached."""

    @property
    def waiting(self) -> bool:
        return self.ended is not None and self.answered is None and not self.overlapped

    @property
    def waits_from(self) -> float | None:
        """The caller has finished, and so has the assistant with what it was saying before."""
        return self.ended if self.old_over is None else self.old_over


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
    awaits_greeting: bool = False
    """The caller listens before saying anything."""
    greeted: bool = False
    """The assistant was heard before the caller said anything."""
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
    """The caller began over the assistant; what came of it is not known yet."""
    _silent_at: float | None = None
    """The assistant stopped by itself since; it may go on."""
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
                if event.data.get("stream_over"):
                    self._silenced_by_the_end(event.at)
                else:
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
        self._judge_barge_in(at)
        self._close_answer(interrupted=over)
        self.turns.append(TurnLog(len(self.turns) + 1, at))
        self.speech.append((at, float("inf")))
        # In a pause of its speech it may be about to go on, or, as is told later, have finished.
        self._barge_in = at if over or self._speaking else None
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
        turn = self.turns[-1] if self.turns else None
        if turn is not None and self._goes_on(turn, at):
            self._note_again(turn)
        elif turn is not None and turn.waiting:
            self._judge_barge_in(at)
            turn.answered, turn.media_at = at, self.track.first_media_after
            self.meter.latency("first_audio_out", (at - (turn.waits_from or at)) * 1000)
        elif turn is None and not self.heard_anything and self.stream_started is not None:
            self.meter.latency("greeting", (at - self.stream_started) * 1000)
        self.heard_anything = True
        self.greeted = self.greeted or not self.turns
        if self._answer is None:
            self._answer = _Spoken(at)
            self.meter.counts["answers"] += 1

    def _goes_on(self, turn: TurnLog, at: float) -> bool:
        """Whether it is the same answer once more, after the caller began to speak over it."""
        stopped = self._silent_at if self._cut_at is None else self._cut_at
        if stopped is None or at - stopped >= AGAIN_WITHIN_S:
            return False
        return turn.ended is None or at - turn.ended < TOO_SOON_S

    def _note_again(self, turn: TurnLog) -> None:
        """Cut, it should not have been heard; not cut, it was in a pause and talks on."""
        if self._cut_at is not None:
            self.meter.counts["audio_after_end"] += 1
            self._cut_at = None
        else:
            self._silent_at = None
            turn.overlapped = turn.ended is not None

    def _assistant_stopped(self, at: float, *, cut: bool) -> None:
        self._speaking = False
        answer = self._answer
        if answer is not None:
            answer.ended, answer.cut = at, cut
        self._fell_silent(at, cut=cut)
        turn = self.turns[-1] if self.turns else None
        if turn is None or turn.ended is None or turn.answered is not None:
            return
        if turn.overlapped:
            turn.overlapped, turn.old_over = False, max(at, turn.ended)
        if at > turn.ended:
            self.track.first_media_after = None  # that was the old answer's

    def _silenced_by_the_end(self, at: float) -> None:
        """Whoever ended the stream, the assistant has not fallen silent by itself."""
        self._speaking = False
        if self._answer is not None:
            self._answer.ended, self._answer.cut = at, True
        self._judge_barge_in(at)

    def _fell_silent(self, at: float, *, cut: bool) -> None:
        if self._barge_in is None:
            return
        if at <= self._barge_in:
            self._barge_in = None  # it had finished before, as is only known now
        else:
            self._silent_at = at
            if cut:
                self._judge_barge_in(at)
                self._cut_at = at

    def _judge_barge_in(self, now: float) -> None:
        """It is decided by now; not if the assistant speaks and has had no time to give way."""
        began, silent = self._barge_in, self._silent_at
        self._barge_in = self._silent_at = None
        if began is None:
            return
        talked_on_s = (now if silent is None else silent) - began
        if silent is not None:
            self.meter.latency("barge_in", talked_on_s * 1000)
        elif talked_on_s <= IGNORED_AFTER_S:
            return
        self.meter.counts["barge_ins"] += 1
        self.meter.counts["barge_ins_ignored"] += talked_on_s > IGNORED_AFTER_S

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
        marked_ms = longest_gap_ms(self.track, answer.began)
        self.meter.latency("answer_gaps", answer.longest_gap_ms if marked_ms is None else marked_ms)
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
        self._judge_barge_in(self._barge_in or 0.0)
        self._close_answer(interrupted=self._speaking)
