"""What the AI side is held to: counts of a sliding window, judged. Knows no clock and no store.

Turns are counted against the limit of a 95th percentile one by one: p95 is above the limit exactly
when more than 5 % of the turns are. So counts of all processes can simply be added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.rollouts import Tally
from dispatch.rollout import Guard

EARLY_S = 20.0
"""Who hangs up sooner did not come to talk to this."""

CALLS = "calls"
FALLBACKS = "fallbacks"
EARLY_HANGUPS = "early_hangups"
DISPATCH_FAILURES = "dispatch_failures"
MODEL_TURNS = "model_turns"
MODEL_SLOW = "model_slow"
MODEL_FAR = "model_far"
AUDIO_TURNS = "audio_turns"
AUDIO_SLOW = "audio_slow"
AUDIO_FAR = "audio_far"

BEYOND_P95 = 5.0
"""Percent of turns."""


@dataclass(frozen=True, slots=True)
class Breach:
    reason: str
    severe: bool


def turn_counts(turn: Mapping[str, object], guard: Guard) -> Counter[str]:
    """One answer to a caller, by the fields of its note. What was not measured is not counted.

    Nor is an answer that waited for a tool or a decision: it tells nothing of the model's pace.
    """
    counts: Counter[str] = Counter()
    if not turn.get("used_tool") and not turn.get("decided"):
        model, audio = turn.get("first_model_audio_ms"), turn.get("first_audio_out_ms")
        _add(counts, model, guard.first_model_audio_p95_ms, guard, _MODEL)
        _add(counts, audio, guard.first_audio_p95_ms, guard, _AUDIO)
    return counts


_MODEL = (MODEL_TURNS, MODEL_SLOW, MODEL_FAR)
_AUDIO = (AUDIO_TURNS, AUDIO_SLOW, AUDIO_FAR)


def _add(
    counts: Counter[str],
    took_ms: object,
    limit_ms: int,
    guard: Guard,
    names: tuple[str, str, str],
) -> None:
    if not isinstance(took_ms, int | float):
        return
    turns, slow, far = names
    counts[turns] += 1
    counts[slow] += took_ms > limit_ms
    counts[far] += took_ms > limit_ms * guard.severe


def judge(tally: Tally, guard: Guard) -> Breach | None:
    """The worst of what is wrong; None where nothing is, or too little was seen."""
    if not guard.enabled:
        return None
    breaches = [
        _latency(tally, guard, _MODEL, f"first model audio above {guard.first_model_audio_p95_ms}"),
        _latency(tally, guard, _AUDIO, f"first audio above {guard.first_audio_p95_ms}"),
        _share(tally, guard, DISPATCH_FAILURES, guard.dispatch_failures),
        _share(tally, guard, FALLBACKS, guard.fallbacks),
        _share(tally, guard, EARLY_HANGUPS, guard.early_hangups),
    ]
    found = [breach for breach in breaches if breach is not None]
    return max(found, key=lambda breach: breach.severe, default=None)


def _latency(tally: Tally, guard: Guard, names: tuple[str, str, str], what: str) -> Breach | None:
    turns, slow, far = (tally.get(name, 0) for name in names)
    if turns < guard.min_turns or not _above(slow, turns, BEYOND_P95):
        return None
    reason = f"p95 of {what} ms: {slow} of {turns} turns, allowed are {BEYOND_P95:g} %"
    return Breach(reason, severe=_above(far, turns, BEYOND_P95))


def _share(tally: Tally, guard: Guard, name: str, allowed: float) -> Breach | None:
    calls, count = tally.get(CALLS, 0), tally.get(name, 0)
    if calls < guard.min_calls or not _above(count, calls, allowed):
        return None
    reason = f"{name.replace('_', ' ')}: {count} of {calls} calls, allowed are {allowed:g} %"
    return Breach(reason, severe=_above(count, calls, allowed * guard.severe))


def _above(count: int, whole: int, percent: float) -> bool:
    return count * 100 > whole * percent


class Tallies:
    """What this process saw and has not told the store yet, by tenant."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, tenant: str, counts: Mapping[str, int]) -> None:
        self._counts.setdefault(tenant, Counter()).update(counts)

    def take(self) -> dict[str, Tally]:
        """All there is, without the zeros; nothing is left."""
        counts, self._counts = self._counts, {}
        return {tenant: dict(+counter) for tenant, counter in counts.items() if +counter}

    def give_back(self, tallies: Mapping[str, Tally]) -> None:
        """They could not be told."""
        for tenant, tally in tallies.items():
            self.add(tenant, tally)
