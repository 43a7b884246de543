"""What a run against the real model may cost, before it is made. An estimate, and it says of what.

Every answer is billed for the whole conversation so far: that is what makes calls expensive, and
what the cache makes cheap. Token rates: OpenAI, "Managing costs" of the Realtime guide.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.harness.arrivals import keeps_places
from loadtest.harness.callers import Caller
from loadtest.harness.plan import RunPlan
from loadtest.twilio import Speak

PRICES = Path(__file__).parents[2] / "bridge" / "store" / "prices.toml"
"""The bridge's own list, read as data: prices have one place."""
HEARD_TOKENS_PER_S, SPOKEN_TOKENS_PER_S = 10, 20
ANSWER_S = 4.0
ANSWER_TEXT_TOKENS = 20
THINKING_S = 1.5
"""From the caller's last word to the answer's first."""
PROMPT_TOKENS = 3000
"""Instructions and tools of a triage."""
_MILLION = 1_000_000


class CostError(ValueError):
    """There are no prices for that model; the message lists those there are."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """US dollars: ``least`` with everything cached that can be, ``most`` with nothing cached."""

    model: str
    priced_on: str
    calls: int
    least: float
    most: float

    def __str__(self) -> str:
        return (
            f"about {self.calls} calls with {self.model}: ${self.least:.2f} if all is cached that "
            f"can be, up to ${self.most:.2f} if nothing is (prices of {self.priced_on}, answers of "
            f"{ANSWER_S:g} s, {PROMPT_TOKENS} tokens of instructions; Twilio not counted)"
        )


def estimate(plan: RunPlan, model: str, prices: Path = PRICES) -> Estimate:
    """Raises CostError, OSError."""
    priced_on, tokens, minute = _prices(prices, model)
    per_call = [(weight, _call(kind, tokens, minute)) for weight, kind in plan.callers.kinds]
    total = sum(weight for weight, _ in per_call)
    length_s, least, most = (
        sum(weight * one[n] for weight, one in per_call) / total for n in range(3)
    )
    calls = _calls(plan, length_s)
    return Estimate(model, priced_on, calls, calls * least, calls * most)


def _calls(plan: RunPlan, length_s: float) -> int:
    if keeps_places(plan.arrival):
        expected = plan.calls * max(1.0, plan.for_s / length_s)
    else:
        expected = min(plan.rate_per_s, plan.calls / length_s) * plan.for_s
    return max(1, min(plan.most_calls, round(expected)))


def _call(
    kind: tuple[Caller, ...], tokens: Mapping[str, float], minute: float
) -> tuple[float, float, float]:
    """Seconds, least and most dollars of the mean of these callers."""
    each = [_one(caller, tokens, minute) for caller in kind]
    length_s, least, most = (sum(one[n] for one in each) / len(each) for n in range(3))
    return length_s, least, most


def _one(caller: Caller, tokens: Mapping[str, float], minute: float) -> tuple[float, float, float]:
    said_s = [
        step.clip.duration_ms / 1000
        for step in caller.scenario.script.steps
        if isinstance(step, Speak)
    ]
    least = most = 0.0
    history = cached = 0.0
    for heard_s in (0.0, *said_s):  # the greeting is an answer as well
        history += heard_s * HEARD_TOKENS_PER_S
        out = ANSWER_S * SPOKEN_TOKENS_PER_S
        spoken = out * tokens["audio_out"] + ANSWER_TEXT_TOKENS * tokens["text_out"]
        most += history * tokens["audio_in"] + PROMPT_TOKENS * tokens["text_in"] + spoken
        least += cached * tokens["audio_cached"] + (history - cached) * tokens["audio_in"]
        least += PROMPT_TOKENS * tokens["text_cached"] + spoken
        history += out
        cached = history
    transcribed = sum(said_s) / 60 * minute
    length_s = sum(said_s) + (len(said_s) + 1) * (ANSWER_S + THINKING_S)
    return length_s, least / _MILLION + transcribed, most / _MILLION + transcribed


def _prices(file: Path, model: str) -> tuple[str, Mapping[str, float], float]:
    """The newest list's day, prices per million tokens, and of a transcribed minute."""
    lists: list[dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))["prices"]
    newest = max(lists, key=lambda one: str(one["from"]))
    known: Mapping[str, Mapping[str, float]] = newest["realtime"]
    if model not in known:
        raise CostError(f"no prices for {model!r}; there are {', '.join(known)}")
    minute = newest.get("transcription", {}).get("gpt-transcribe", 0.0)
    return str(newest["from"]), known[model], float(minute)
