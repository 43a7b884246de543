"""The conversation that every simulated call holds, as a plan and a cycle. Knows no socket."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

MS = 1_000_000
"""Nanoseconds in a millisecond."""


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """Lengths of the parts of a turn, in milliseconds of wall time unless the name says audio."""

    pause_ms: int = 1_000
    """Silence after an answer was heard to its end."""
    speech_ms: int = 1_200
    vad_ms: int = 200
    thinking_ms: int = 200
    deltas: int = 20
    delta_audio_ms: int = 200
    delta_every_ms: int = 40
    """200 ms of audio every 40 ms: five times real time."""
    barge_every: int = 3
    """Every n-th answer is barged into; 0 for never."""
    barge_after_ms: int = 1_200
    """After the answer's first audio."""
    transcripts: bool = True
    """Whether the model writes down what it says and hears."""

    @property
    def answer_ms(self) -> int:
        return self.deltas * self.delta_audio_ms

    @property
    def cycle_ms(self) -> float:
        """Mean length of a turn."""
        asking = self.speech_ms + self.vad_ms + self.thinking_ms
        whole = asking + self.answer_ms + self.pause_ms
        if not self.barge_every:
            return whole
        return whole + (asking + self.barge_after_ms - whole) / self.barge_every


class Step(Enum):
    SPEECH_STARTED = auto()
    BARGE_IN = auto()
    """Speech that starts while an answer is playing."""
    SPEECH_STOPPED = auto()
    ANSWER_STARTED = auto()
    """Answer announced; its first delta follows at once."""
    DELTA = auto()
    ANSWER_DONE = auto()


_WITHIN_ANSWER = (Step.DELTA, Step.ANSWER_DONE)


class TurnCycle:
    """One call's turns without end. At ``due_ns`` or later, ``advance`` says what happens."""

    __slots__ = ("_answer", "_deltas", "_first_delta_ns", "_next", "_plan", "due_ns")

    def __init__(self, plan: TurnPlan, begin_ns: int) -> None:
        self._plan = plan
        self._answer = 0
        self._deltas = 0
        self._first_delta_ns = 0
        self._next = Step.SPEECH_STARTED
        self.due_ns = begin_ns
        """When the next step is due, monotonic ns."""

    def advance(self) -> Step:
        """Take the step that is due. Steps are scheduled from due times, so they never drift."""
        step, plan = self._next, self._plan
        match step:
            case Step.SPEECH_STARTED | Step.BARGE_IN:
                self._then(Step.SPEECH_STOPPED, plan.speech_ms + plan.vad_ms)
            case Step.SPEECH_STOPPED:
                self._then(Step.ANSWER_STARTED, plan.thinking_ms)
            case Step.ANSWER_STARTED:
                self._answer += 1
                self._deltas = 0
                self._first_delta_ns = self.due_ns
                self._then(Step.DELTA, 0)
            case Step.DELTA:
                self._deltas += 1
                more = self._deltas < plan.deltas
                self._then(Step.DELTA if more else Step.ANSWER_DONE, plan.delta_every_ms * more)
            case Step.ANSWER_DONE:
                self._listen()
        return step

    def skip(self, share: float) -> None:
        """Begin as if this share (0 to 1) of all kinds of turns had passed, with nothing yet said.

        Many calls that skip different shares are in steady state at once. Skipped steps are never
        taken, so an answer that would be half over is passed by and no barge-in follows it.
        """
        begin_ns = self.due_ns
        passed_ms = share * self._plan.cycle_ms * max(1, self._plan.barge_every)
        while self.due_ns < begin_ns + passed_ms * MS or self._next in _WITHIN_ANSWER:
            self.advance()
        if self._next is Step.BARGE_IN:
            self._next = Step.SPEECH_STARTED
        self.due_ns -= int(passed_ms * MS)

    def _then(self, step: Step, after_ms: int) -> None:
        self._next = step
        self.due_ns += after_ms * MS

    def _listen(self) -> None:
        """The answer plays on; the caller hears it out, or not."""
        plan = self._plan
        if plan.barge_every and self._answer % plan.barge_every == 0:
            self._next = Step.BARGE_IN
            spoken_ms = plan.barge_after_ms
        else:
            self._next = Step.SPEECH_STARTED
            spoken_ms = plan.answer_ms + plan.pause_ms
        self.due_ns = max(self.due_ns, self._first_delta_ns + spoken_ms * MS)
