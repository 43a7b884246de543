"""Who calls: scenario files, the calls of a corpus, recordings of one's own; drawn by weight."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import audiocodecs
from loadtest import scenarios
from loadtest.corpus import Corpus, CorpusError, RecordedCall
from loadtest.harness.watermark import Blank
from loadtest.realtime import KnownCall, load_scenario, scenario_names
from loadtest.recordings import caller_clip
from loadtest.scenarios import PLACES, LineConditions, Scenario, ScenarioError
from loadtest.scenarios.line import merged
from loadtest.twilio import (
    CallScript,
    Clip,
    InterruptAfterMs,
    Speak,
    StayOnLine,
    Step,
    WaitUntilAssistantSilent,
)
from loadtest.twilio.audio import Frame

CORPUS = "corpus"
"""Every call of the corpus, one after the other in an order drawn by the seed."""
DEFAULT = ("billing", "schedule", "emergency", "human", "faq", "billing_interrupted")
STAYS_MS = 30_000
RESOLVED = "resolved"
"""The route of a recorded call that was answered on the spot: hanging up is right there."""
_MODEL_SCRIPTS = {"other": "voicemail"}
"""The simulated model's script for an intent, where it has another name."""


class CallersError(ValueError):
    """Callers that cannot be had; the message names the file and says why."""


@dataclass(frozen=True, slots=True)
class Prepared(Frame):
    """A frame with room for a mark."""

    blank: Blank

    @classmethod
    def from_frame(cls, frame: Frame) -> Prepared:
        return cls(frame.ulaw, frame.payload, Blank.of(frame))


@dataclass(frozen=True, slots=True)
class Caller:
    """A kind of caller, ready to be placed any number of times."""

    scenario: Scenario
    known: KnownCall | None
    """What the simulated model should know of the caller."""

    @property
    def awaits_greeting(self) -> bool:
        """Whether the caller listens for the assistant before saying anything."""
        for step in self.scenario.script.steps:
            if isinstance(step, Speak | WaitUntilAssistantSilent | InterruptAfterMs):
                return not isinstance(step, Speak)
        return False


@dataclass(frozen=True, slots=True)
class Callers:
    """All kinds, with their weights. ``asked``: as they were asked for, for the result."""

    kinds: tuple[tuple[float, tuple[Caller, ...]], ...]
    asked: tuple[tuple[str, float], ...]
    notes: tuple[str, ...]

    @property
    def await_greeting(self) -> bool:
        """Whether any of them listens before saying anything."""
        return any(caller.awaits_greeting for _, kind in self.kinds for caller in kind)

    @property
    def expect_something(self) -> bool:
        """Whether any of them tells where the call should arrive, or with which intent."""
        every = (caller for _, kind in self.kinds for caller in kind)
        return any(caller.scenario.expect for caller in every)

    def drawn(self, rng: random.Random, first_number: int = 0) -> DrawnCallers:
        """``first_number``: the last seven digits of the first caller's telephone number."""
        return DrawnCallers(self, rng, first_number)


class DrawnCallers:
    """One caller after the other, reproducible by the generator handed in."""

    def __init__(self, callers: Callers, rng: random.Random, first_number: int) -> None:
        self._rng = rng
        self._weights = [weight for weight, _ in callers.kinds]
        self._queues = [itertools.cycle(self._shuffled(kind)) for _, kind in callers.kinds]
        self._numbers = itertools.count(first_number)

    def _shuffled(self, kind: Sequence[Caller]) -> list[Caller]:
        return self._rng.sample(kind, len(kind))

    def next(self) -> Caller:
        """The next caller, from a telephone number that has not called before."""
        (queue,) = self._rng.choices(self._queues, self._weights)
        caller = next(queue)
        number = f"+1415{next(self._numbers) % 10_000_000:07d}"
        script = replace(caller.scenario.script, from_number=number)
        return replace(caller, scenario=replace(caller.scenario, script=script))


def read_callers(
    asked: Iterable[str], wavs: Iterable[Path], corpus: Path | None, line: LineConditions
) -> Callers:
    """``asked``: ``NAME_OR_FILE`` or ``NAME_OR_FILE=WEIGHT``; ``corpus`` is one of the names.

    Raises CallersError.
    """
    names = [_weighted(text) for text in asked]
    own = [(str(path), 1.0) for path in wavs]
    if not names and not own:
        names = [(CORPUS, 1.0)] if corpus is not None else [(name, 1.0) for name in DEFAULT]
    try:
        recorded = Corpus() if corpus is None else Corpus(corpus)
        kinds = [(weight, _kind(name, recorded)) for name, weight in names]
        kinds += [(weight, (_wav_caller(Path(path)),)) for path, weight in own]
    except (ScenarioError, CorpusError, audiocodecs.WavError) as error:
        raise CallersError(str(error)) from None
    except OSError as error:
        raise CallersError(f"{error.filename}: {error.strerror}") from None
    ready = tuple(
        (weight, tuple(_ready(caller, line) for caller in kind)) for weight, kind in kinds
    )
    notes = dict.fromkeys(n for _, kind in ready for one in kind for n in one.scenario.notes)
    return Callers(ready, (*names, *own), tuple(notes))


def _weighted(text: str) -> tuple[str, float]:
    name, equals, weight = text.rpartition("=")
    if not equals:
        return text, 1.0
    try:
        value = float(weight)
    except ValueError:
        raise CallersError(f"scenario {text!r}: weight is {weight!r}, expected a number") from None
    if not 0 < value < 1e6:
        raise CallersError(f"scenario {text!r}: weight is {weight}, expected more than 0")
    return name, value


def _kind(name: str, corpus: Corpus) -> tuple[Caller, ...]:
    if name == CORPUS:
        if not corpus.calls:
            raise CorpusError(f"{corpus.root}: calls.jsonl names no call")
        return tuple(_corpus_caller(call) for call in corpus.calls)
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        scenario = scenarios.load(path, corpus)
    elif name in scenarios.packaged_names():
        scenario = scenarios.packaged(name)
    else:
        known = ", ".join((CORPUS, *scenarios.packaged_names()))
        raise ScenarioError(f"no scenario {name!r}: there is no such file, and come with: {known}")
    return (Caller(scenario, _known(scenario)),)


def _corpus_caller(call: RecordedCall) -> Caller:
    """Says every turn of a recorded call, each when the assistant has finished."""
    steps: list[Step] = []
    for turn in range(1, len(call.turns) + 1):
        steps += [WaitUntilAssistantSilent(), Speak(call.clip(turn))]
    intent = str(call.label.get("intent", ""))
    script = CallScript(steps=(*steps, StayOnLine(STAYS_MS)), to_number=call.to_number)
    expect: dict[str, Any] = {"intent": intent} if intent else {}
    if call.label.get("route") == RESOLVED:
        expect["outcome"] = PLACES
    scenario = Scenario(call.call_sid, "", script, expect)
    data = call.label.get("data") or {}
    slots = {name: str(value) for name, value in data.items()}
    return Caller(scenario, _known(scenario, tuple(turn.text for turn in call.turns), slots))


def _wav_caller(path: Path) -> Caller:
    clip, note = caller_clip(path)
    steps = (WaitUntilAssistantSilent(), Speak(clip), StayOnLine(STAYS_MS))
    scenario = Scenario(path.stem, "", CallScript(steps=steps), {}, notes=(note,) if note else ())
    return Caller(scenario, None)


def _known(
    scenario: Scenario, turns: tuple[str, ...] = (), slots: dict[str, str] | None = None
) -> KnownCall | None:
    """The simulated model's script for this caller; None leaves it to react to anything."""
    intent = str(scenario.expect.get("intent", ""))
    name = scenario.model or _MODEL_SCRIPTS.get(intent, intent)
    if scenario.model is None and name not in scenario_names():
        return None
    try:
        script = load_scenario(name)
    except ValueError as error:
        raise ScenarioError(f"scenario {scenario.name}: model: {error}") from None
    return KnownCall(b"", script, turns or script.caller_turns, slots or {})


# --- ready for the wire -------------------------------------------------------------------------


def _ready(caller: Caller, line: LineConditions) -> Caller:
    """With the run's line conditions, and every frame prepared for its mark."""
    scenario = caller.scenario
    conditions = merged(scenario.line, line)
    if conditions.snr_db is not None and conditions.snr_db != scenario.line.snr_db:
        scenario = scenarios.with_noise(scenario, conditions.snr_db)
    script = scenario.script
    ready = replace(
        script,
        steps=tuple(Speak(_prepared(s.clip)) if isinstance(s, Speak) else s for s in script.steps),
        background=tuple(Prepared.from_frame(frame) for frame in script.background),
        record=False,
    )
    return replace(caller, scenario=replace(scenario, script=ready, line=conditions))


def _prepared(clip: Clip) -> Clip:
    return replace(clip, frames=tuple(Prepared.from_frame(frame) for frame in clip.frames))
