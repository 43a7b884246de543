"""What the parts of a call share: its phase, its limits, its voice, its clocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from bridge.call.desk import Desk
from bridge.call.limits import CallLimits
from bridge.call.responses import ResponseSequencer
from bridge.call.timers import Timers
from bridge.call.transcript import Transcript
from bridge.call.turns import TurnClock
from bridge.call.usage import UsageMeter
from bridge.call.voice import AssistantVoice, CachedLine
from bridge.protocol.realtime import CreateResponse


class Phase(Enum):
    """How far a call is. Nothing follows ``ENDED``."""

    NEW = auto()
    TALKING = auto()
    CLOSING = auto()
    """Decided: the closing line is being said."""
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Script:
    """What the assistant says by itself, and how the session was configured to behave.

    ``greeting`` "" lets the caller speak first. A cached line is played at once; without one the
    model is asked to say the greeting.
    """

    greeting: str = ""
    greeting_line: CachedLine | None = None
    apology_line: CachedLine | None = None
    hold_line: CachedLine | None = None
    closing_line: CachedLine | None = None
    goodbye_line: CachedLine | None = None
    """What is said last where the model cannot say it; ``goodbye_line`` where nobody follows."""
    server_interrupts: bool = True
    """``interrupt_response``: the server cancels its response when the caller speaks."""
    server_answers: bool = True
    """``create_response``: the server starts one when the caller stops speaking."""
    brief: str = ""
    """What is known of the caller before a word was said; told to the model as text."""


@dataclass(slots=True)
class CallState:
    """One call's shared parts. Each part of the core reads it; ``phase`` changes in two places."""

    desk: Desk
    script: Script
    limits: CallLimits
    turns: TurnClock
    phase: Phase = Phase.NEW
    started_at: float = 0.0
    model_ready: bool = False
    voice: AssistantVoice = field(default_factory=AssistantVoice)
    transcript: Transcript = field(default_factory=Transcript)
    usage: UsageMeter = field(default_factory=UsageMeter)
    responses: ResponseSequencer = field(default_factory=ResponseSequencer)
    timers: Timers = field(default_factory=Timers)
    running_tools: set[str] = field(default_factory=set)
    caller_left: bool = False

    @property
    def ended(self) -> bool:
        return self.phase is Phase.ENDED

    def since_start_ms(self, now: float) -> int:
        return int((now - self.started_at) * 1000)

    def spoken_by(self, now: float) -> float:
        """When everything sent so far will have been played."""
        return now + self.voice.playback.remaining_ms(now) / 1000

    def want_answer(self, now: float) -> None:
        """The model is to speak, and is waited for."""
        self.responses.owe(CreateResponse())
        self.timers.set("answer", now + self.limits.answer_s)

    def listen_for_silence(self, now: float) -> None:
        """Count the caller's silence from when the last audio sent will have been played."""
        idle = self.responses.idle and not self.responses.caller_speaking
        free = idle and self.model_ready
        nothing_owed = self.responses.owed is None and not self.running_tools
        if self.phase is Phase.TALKING and free and nothing_owed:
            due = self.spoken_by(now) + self.limits.caller_silence_s
            self.timers.set("caller_silence", due)
