"""What goes wrong in which call, and when: from the seed and the call's number, nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

Step: TypeAlias = Literal[
    "ringing", "stream", "caller_speaks", "caller_spoke", "assistant_speaks", "handover"
]
"""When a fault begins: a webhook is asked, the stream is open, the caller begins, the caller ended,
the assistant is heard, the stream is over and Twilio asks where to go."""

STEPS: tuple[Step, ...] = (
    "ringing",
    "stream",
    "caller_speaks",
    "caller_spoke",
    "assistant_speaks",
    "handover",
)
ONCE = ("ringing", "handover")

OPENING = (
    "model_refuses_key",
    "model_connects_slowly",
    "model_says_nothing",
    "model_never_configures",
    "model_refuses_configuration",
)
"""Of the model connection that this call makes. With several calls at once the one that connects
at the same moment may get it instead; alone, the call itself does."""
MODEL = (
    "model_1001",
    "model_1011",
    "model_reset",
    "model_half_open",
    "model_expires",
    "model_stalls",
    "model_fails",
    "model_rate_limited",
    "model_garbage",
)
TWILIO = (
    "twilio_reset",
    "twilio_stalls",
    "twilio_garbage",
    "twilio_repeats_start",
    "webhook_repeated",
    "caller_hangs_up",
)
PROCESS = ("worker_killed", "worker_told_to_stop", "workers_rolled", "store_locked")
EVERY_FAULT = (*OPENING, *MODEL, *TWILIO, *PROCESS)

CALM_SHARE = 0.15
PATIENT_SHARE = 0.4
HANDOVER_IS_QUICKER = 40
"""It takes some milliseconds."""
SECOND_FAULT_SHARE = 0.25
PROCESS_SHARE = 0.06
OFTEN = ("worker_killed", "workers_rolled", "store_locked") * 3
"""Beside one lone SIGTERM: while a worker drains, half of the calls go by the AI."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: at the ``turn``-th time of ``step``, ``after_ms`` later."""

    kind: str
    step: Step
    turn: int
    after_ms: int
    length_ms: int
    """Of what passes: a stall, a lock, a slow start."""

    def __str__(self) -> str:
        return f"{self.kind} at {self.step} {self.turn} +{self.after_ms} ms ({self.length_ms} ms)"


@dataclass(frozen=True, slots=True)
class CallPlan:
    """One call and what goes wrong in it."""

    number: int
    faults: tuple[Fault, ...]
    patient: bool = False
    """Leaves an assistant that falls silent the time to go on."""

    @property
    def last_digits(self) -> str:
        """What a model is told of the caller: how its session is known to be this call's."""
        return f"{self.number % 10_000:04}"

    @property
    def hangs_up(self) -> bool:
        return any(fault.kind == "caller_hangs_up" for fault in self.faults)


def draw_call(seed: int, number: int, process_faults: bool = True) -> CallPlan:
    """The ``number``-th call of ``seed``. Without ``process_faults`` those are left out, and
    nothing else changes."""
    rng = random.Random(f"{seed}:{number}")
    draws = rng.random()
    count = 0 if draws < CALM_SHARE else 2 if draws > 1 - SECOND_FAULT_SHARE else 1
    faults = tuple(_draw_fault(rng) for _ in range(count))
    patient = rng.random() < PATIENT_SHARE
    if not process_faults:
        faults = tuple(fault for fault in faults if fault.kind not in PROCESS)
    return CallPlan(number, faults, patient)


def _draw_fault(rng: random.Random) -> Fault:
    kinds = (*OFTEN, *PROCESS) if rng.random() < PROCESS_SHARE else (*OPENING, *MODEL, *TWILIO)
    kind = rng.choice(kinds)
    step: Step = rng.choice(STEPS)
    if kind in OPENING or kind == "webhook_repeated":
        step = "ringing"  # from the beginning of the call
    elif kind in MODEL or kind.startswith("twilio"):
        step = rng.choice(STEPS[1:-1])
    turn = rng.choice((1, 1, 2))
    after_ms, length_ms = rng.randrange(0, 800), rng.randrange(300, 4000)
    if step in ONCE:
        turn = 1
    if step == "handover":
        after_ms //= HANDOVER_IS_QUICKER
    return Fault(kind, step, turn, after_ms, length_ms)
