"""Reads scenario files. The models below are the format."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import audiocodecs
from loadtest.corpus import Corpus, CorpusError
from loadtest.recordings import caller_clip
from loadtest.scenarios.line import PERFECT, LineConditions, LineError, background, noisy_clip
from loadtest.twilio import script
from loadtest.twilio.audio import SILENCE, Clip, noise_frames
from loadtest.twilio.people import Agent, Callee, DialStatus, QueueRefusal

_FOLDER = Path(__file__).parent
Place: TypeAlias = Literal["studio", "flex", "queue", "dial", "voicemail", "hangup"]
PLACES: tuple[Place, ...] = get_args(Place)
"""Where a call may end."""


class ScenarioError(ValueError):
    """A scenario file that cannot be used; the message names the file and every fault."""


_UNUSABLE = (
    OSError, tomllib.TOMLDecodeError, CorpusError, ScenarioError, LineError, audiocodecs.WavError
)  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SpeakStep(_Model):
    """Say a turn of a recorded call (``call``: SID or intent), or a WAV file of your own."""

    do: Literal["speak"]
    call: str | None = None
    turn: int = Field(default=1, ge=1)
    wav: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> SpeakStep:
        if (self.call is None) == (self.wav is None):
            raise ValueError("expected either call or wav")
        return self


class ConverseStep(_Model):
    """Every turn of a recorded call from ``first_turn`` on, each when the assistant is silent."""

    do: Literal["converse"]
    call: str
    first_turn: int = Field(default=1, ge=1)
    after_ms: int = Field(default=600, ge=0)
    max_ms: int = Field(default=20_000, gt=0)


class WaitStep(_Model):
    do: Literal["wait"]
    ms: int = Field(ge=0)


class SilenceStep(_Model):
    do: Literal["wait_until_assistant_silent"]
    after_ms: int = Field(default=600, ge=0)
    max_ms: int = Field(default=20_000, gt=0)


class InterruptStep(_Model):
    do: Literal["interrupt_after"]
    ms: int = Field(ge=0)
    max_ms: int = Field(default=20_000, gt=0)


class StreamStep(_Model):
    do: Literal["wait_for_stream"]
    max_ms: int = Field(default=10_000, gt=0)


class PressStep(_Model):
    do: Literal["press"]
    digits: str = Field(pattern=r"^[0-9*#A-D]+$")


class HangUpStep(_Model):
    do: Literal["hang_up"]


class StayStep(_Model):
    do: Literal["stay_on_line"]
    max_ms: int = Field(default=60_000, gt=0)


StepModel: TypeAlias = Annotated[
    SpeakStep
    | ConverseStep
    | WaitStep
    | SilenceStep
    | InterruptStep
    | StreamStep
    | PressStep
    | HangUpStep
    | StayStep,
    Field(discriminator="do"),
]


class AgentModel(_Model):
    after_ms: int | None = 500
    talks_ms: int = 0
    refusal: QueueRefusal | None = None


class CalleeModel(_Model):
    answer: DialStatus = "answers"
    rings_ms: int = 200
    keys: tuple[tuple[int, str], ...] = ()
    hangs_up_after_ms: int | None = None
    talks_ms: int = 0


class LineModel(_Model):
    """The caller's telephone line; see ``LineConditions``."""

    snr_db: float | None = Field(default=None, ge=-20, le=60)
    loss_percent: float = Field(default=0.0, ge=0, le=90)
    loss_run: float = Field(default=1.0, ge=1, le=50)
    jitter_ms: float = Field(default=0.0, ge=0, le=2000)
    burst_ms: float = Field(default=0.0, ge=0, le=5000)
    burst_every_ms: float = Field(default=5000.0, ge=100, le=600_000)


class ExpectModel(_Model):
    """Where the call should end. ``outcome``: any of these places; left out, whatever is no mere
    hang-up."""

    intent: str = ""
    outcome: tuple[Place, ...] = ()


class ScenarioModel(_Model):
    """One file."""

    name: str
    description: str = ""
    from_number: str = Field(default="+14155550142", alias="from")
    to_number: str = Field(default="+14155550100", alias="to")
    max_call_ms: int = Field(default=120_000, gt=0)
    noise_dbfs: float | None = Field(default=None, le=0)
    line: LineModel = LineModel()
    model: str | None = None
    """Script of the simulated model for this caller; by ``expect.intent`` where it is left out."""
    agent: AgentModel = AgentModel()
    callees: dict[str, CalleeModel] = {}
    expect: ExpectModel = ExpectModel()
    steps: tuple[StepModel, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A call ready to be placed. ``expect`` is the file's own, for whoever judges the result."""

    name: str
    description: str
    script: script.CallScript
    expect: Mapping[str, Any]
    line: LineConditions = PERFECT
    model: str | None = None
    notes: tuple[str, ...] = ()
    """What had to be done to recordings before they could be used."""


def with_noise(scenario: Scenario, snr_db: float) -> Scenario:
    """The same caller on a line with so much noise."""
    steps = scenario.script.steps
    clips = [step.clip for step in steps if isinstance(step, script.Speak)]
    noisy = tuple(
        script.Speak(noisy_clip(step.clip, snr_db)) if isinstance(step, script.Speak) else step
        for step in steps
    )
    changed = replace(scenario.script, steps=noisy, background=background(clips, snr_db))
    return replace(scenario, script=changed)


def load(path: Path, corpus: Corpus | None = None) -> Scenario:
    """Read one file; recordings are looked up in ``corpus`` (the packaged one by default)."""
    try:
        model = ScenarioModel.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        return _scenario(model, path.parent, corpus or Corpus())
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ScenarioError(f"{path}: {faults}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: byte {error.start} is not UTF-8") from None
    except _UNUSABLE as error:
        raise ScenarioError(f"{path}: {error}") from None


def packaged_names() -> tuple[str, ...]:
    """The scenarios that come with the package."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def packaged(name: str) -> Scenario:
    if name not in packaged_names():
        raise ScenarioError(f"no scenario {name!r}; there are {', '.join(packaged_names())}")
    return load(_FOLDER / f"{name}.toml")


def _scenario(model: ScenarioModel, folder: Path, corpus: Corpus) -> Scenario:
    sounds = _Sounds(folder, corpus)
    noise = model.noise_dbfs
    made = script.CallScript(
        steps=tuple(made for step in model.steps for made in _steps(step, sounds)),
        from_number=model.from_number,
        to_number=model.to_number,
        max_call_ms=model.max_call_ms,
        agent=Agent(**model.agent.model_dump()),
        callees={number: Callee(**who.model_dump()) for number, who in model.callees.items()},
        background=(SILENCE,) if noise is None else noise_frames(noise),
    )
    line = LineConditions(**model.line.model_dump())
    notes = tuple(sounds.notes)
    expect = model.expect.model_dump(exclude_defaults=True)
    scenario = Scenario(model.name, model.description, made, expect, line, model.model, notes)
    return scenario if line.snr_db is None else with_noise(scenario, line.snr_db)


@dataclass(frozen=True, slots=True)
class _Sounds:
    """Where a scenario's speech comes from."""

    folder: Path
    corpus: Corpus
    notes: list[str] = field(default_factory=list)

    def clip(self, step: SpeakStep) -> Clip:
        if step.wav is not None:
            clip, note = caller_clip(self.folder / step.wav)
            self.notes.extend([note] if note else [])
            return clip
        return self.corpus.call(step.call or "").clip(step.turn)

    def conversation(self, step: ConverseStep) -> Iterator[script.Step]:
        call = self.corpus.call(step.call)
        if step.first_turn > len(call.turns):
            raise ScenarioError(
                f"converse: first_turn is {step.first_turn}, expected at most {len(call.turns)}, "
                f"the turns of {step.call}"
            )
        for turn in range(step.first_turn, len(call.turns) + 1):
            yield script.WaitUntilAssistantSilent(step.after_ms, step.max_ms)
            yield script.Speak(call.clip(turn))


def _steps(step: StepModel, sounds: _Sounds) -> Iterable[script.Step]:
    match step:
        case SpeakStep():
            return (script.Speak(sounds.clip(step)),)
        case ConverseStep():
            return sounds.conversation(step)
        case WaitStep(ms=ms):
            return (script.WaitMs(ms),)
        case SilenceStep(after_ms=after_ms, max_ms=max_ms):
            return (script.WaitUntilAssistantSilent(after_ms, max_ms),)
        case InterruptStep(ms=ms, max_ms=max_ms):
            return (script.InterruptAfterMs(ms, max_ms),)
        case StreamStep(max_ms=max_ms):
            return (script.WaitForStream(max_ms),)
        case PressStep(digits=digits):
            return (script.Press(digits),)
        case HangUpStep():
            return (script.HangUp(),)
        case StayStep(max_ms=max_ms):
            return (script.StayOnLine(max_ms),)
