"""The calls of the demo: who calls, what is said, what the simulated model does, where it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from loadtest.corpus import Corpus
from loadtest.realtime import KnownCall, Scenario, load_scenario
from loadtest.twilio import (
    Agent,
    CallScript,
    Clip,
    InterruptAfterMs,
    Speak,
    StayOnLine,
    Step,
    WaitUntilAssistantSilent,
)

_FOLDER = Path(__file__).parent
INTERRUPT_AFTER_MS = 3000
"""Of the assistant's speech; a real model's answer to that question lasts longer, too."""
PATIENCE_MS = 30_000
POLITE_MS = 600
"""The caller waits so long after the assistant's last word."""
AGENT_AFTER_MS = 200
"""Shorter than POLITE_MS: once connected, the caller does not go on with the script."""
MAX_CALL_MS = 150_000

Place: TypeAlias = Literal["studio", "flex", "resolved"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One thing the caller says. ``interrupts``: over the assistant's answer."""

    text: str
    clip: Clip
    interrupts: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a call has to arrive, as Twilio sees it. None: not told to Twilio there."""

    place: Place
    intent: str | None = None
    queue: str | None = None

    def __str__(self) -> str:
        place = {"studio": "Studio", "flex": "Flex", "resolved": "resolved on the line"}[self.place]
        told = {"intent": self.intent, "queue": self.queue}
        return ", ".join([place, *(f"{name} {value}" for name, value in told.items() if value)])


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call, ready to be played to a simulated model or to the real one."""

    name: str
    title: str
    from_number: str
    to_number: str
    spoken: tuple[Spoken, ...]
    expected: Destination
    scenario: Scenario

    @property
    def script(self) -> CallScript:
        """The caller reacts to what is heard, so that it fits whatever the assistant says."""
        return CallScript(
            steps=tuple(self._steps()),
            from_number=self.from_number,
            to_number=self.to_number,
            max_call_ms=MAX_CALL_MS,
            agent=Agent(after_ms=AGENT_AFTER_MS),
        )

    def _steps(self) -> Iterator[Step]:
        for one in self.spoken:
            if one.interrupts:
                yield InterruptAfterMs(INTERRUPT_AFTER_MS, PATIENCE_MS)
            else:
                yield WaitUntilAssistantSilent(POLITE_MS, PATIENCE_MS)
            yield Speak(one.clip)
        yield StayOnLine(PATIENCE_MS)

    @property
    def known(self) -> KnownCall:
        """By its first words the simulated model knows which script is its own."""
        first = b"".join(frame.ulaw for frame in self.spoken[0].clip.frames)
        return KnownCall(first, self.scenario, self.scenario.caller_turns)


@dataclass(frozen=True, slots=True)
class _Plan:
    title: str
    recording: str
    """Labelled intent of the recorded call."""
    expected: Destination
    before: tuple[tuple[str, str], ...] = ()
    """Texts and recordings of ours, said before the recorded call's first turn."""
    after: tuple[tuple[str, str], ...] = ()
    interrupts: int | None = None
    """Index of what is said over the assistant."""
    turns: int | None = None
    """Only so many of the recorded call's turns."""


_PLANS = {
    "emergency": _Plan(
        title="a caller smells gas",
        recording="emergency",
        expected=Destination("flex", "emergency", "emergency"),
        turns=1,  # an emergency is not held up by questions
    ),
    "schedule": _Plan(
        title="a slow drain, and a caller who does not wait for long answers",
        recording="schedule",
        expected=Destination("studio", "schedule", "scheduling"),
        before=(("What kind of work do you do?", "kind_of_work.wav"),),
        interrupts=1,
    ),
    "billing": _Plan(
        title="a charge is disputed",
        recording="billing",
        expected=Destination("flex", "billing", "billing"),
    ),
    "question": _Plan(
        title="somebody asks for the opening hours",
        recording="faq",
        expected=Destination("resolved"),
        after=(("No, that is all. Thank you.", "nothing_else.wav"),),
    ),
}


def call_names() -> tuple[str, ...]:
    """In the order in which they are played."""
    return tuple(_PLANS)


def demo_call(name: str) -> DemoCall:
    """Raises KeyError for a name that is not among ``call_names``."""
    plan = _PLANS[name]
    recorded = Corpus().call(plan.recording)
    turns = recorded.turns[: plan.turns]
    said = (
        *_ours(plan.before),
        *((turn.text, recorded.clip(n)) for n, turn in enumerate(turns, start=1)),
        *_ours(plan.after),
    )
    return DemoCall(
        name=name,
        title=plan.title,
        from_number=recorded.from_number,
        to_number=recorded.to_number,
        spoken=tuple(
            Spoken(text, clip, n == plan.interrupts) for n, (text, clip) in enumerate(said)
        ),
        expected=plan.expected,
        scenario=load_scenario(str(_FOLDER / "scenarios" / f"{name}.toml")),
    )


def _ours(said: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, Clip]]:
    """Sentences that the recorded calls lack: the same callers' synthetic voices (flite's slt and
    awb), at the same level."""
    return ((text, Clip.from_wav(_FOLDER / "audio" / file)) for text, file in said)
