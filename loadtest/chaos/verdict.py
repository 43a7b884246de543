"""The invariants: what must hold for every call, and for the processes afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from loadtest.chaos.conversation import SENTENCE_MS
from loadtest.chaos.plan import CallPlan
from loadtest.chaos.system import Held
from loadtest.twilio import CallEvent, CallResult
from loadtest.twilio.outcomes import CallerHungUp, Outcome, took_hold

SILENCE_MS = 3000
SILENT_VERBS = frozenset({"Connect", "Redirect", "Response"})
GROWTH_KIB = 30 * 1024
"""Memory that a worker may have gained since it had taken its first calls."""
DATABASE_FILES = 24
"""SQLite's connections of a worker are opened when needed and kept: three files each."""

INVARIANTS = (
    "each call has exactly one terminal outcome",
    "no call is without a destination",
    "no call is handed over twice",
    "no stream is open after its call",
    "the caller never waits more than 3 s for a sound",
    "no task, socket, file or memory is left behind",
)

Late = Callable[[float, float], float]
"""Milliseconds that the machine itself was late, between two moments."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The caller heard nothing, and it was our turn. Monotonic seconds."""

    begin: float
    end: float

    @property
    def ms(self) -> int:
        return round((self.end - self.begin) * 1000)


def faults_of_call(plan: CallPlan, result: CallResult, late: Late) -> list[str]:
    """What does not hold, in words; empty: all does."""
    arrived = [one for one in result.outcomes if took_hold(one)]
    left = isinstance(result.outcomes[-1], CallerHungUp) and plan.hangs_up
    found = []
    if len(arrived) > 1:
        found.append(f"handed over {len(arrived)} times: {_names(arrived)}")
    if not arrived and not left:
        found.append(f"arrived nowhere: {_names(result.outcomes)} {result.outcomes[-1]}")
    found += [f"stream {one.url} never ended" for one in result.streams if one.ended is None]
    waits = waits_of(plan, result)
    if result.streams and not waits and not _excused(plan):
        found.append("nothing shows how long the caller waited")
    for wait in waits:
        if wait.ms > SILENCE_MS + late(wait.begin, wait.end):
            at_ms = round(wait.begin * 1000) - _began_ms(result)
            found.append(f"the caller heard nothing for {wait.ms} ms, from {at_ms} ms on")
    return found


def waits_of(plan: CallPlan, result: CallResult) -> list[Wait]:
    """None where Twilio itself holds everything back."""
    return [] if _excused(plan) else waits(result.timeline)


def _excused(plan: CallPlan) -> bool:
    return any(fault.kind == "twilio_stalls" for fault in plan.faults)


def _began_ms(result: CallResult) -> int:
    first = result.timeline[0]
    return round(first.at * 1000) - first.at_ms


def _names(outcomes: Iterable[Outcome]) -> str:
    return ", ".join(type(one).__name__ for one in outcomes)


def waits(timeline: Iterable[CallEvent]) -> list[Wait]:
    """Each time that it was our turn and nothing was heard.

    Our turn begins when the stream is asked for, when the caller ends to speak, and when the stream
    is over. It ends when the caller speaks, when the call is somewhere else, and behind a whole
    sentence (or the greeting, before the caller's first words): a hold line, an apology or half a
    sentence leave the caller waiting for the rest.
    """
    ear = _Ear()
    for event in timeline:
        ear.hears(event)
    return ear.waits


class _Ear:
    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self._since: float | None = None
        self._spell_at: float | None = None
        self._ours = False
        self._caller_spoke = False

    def hears(self, event: CallEvent) -> None:
        match event.kind:
            case "stream_opening" | "stream_closed" | "caller_speech_ended":
                self._our_turn(event.at)
            case "assistant_started":
                self._wait_over(event.at)
                self._spell_at = event.at
            case "assistant_stopped":
                self._spell_over(event.at)
            case "caller_speech_started":
                self._caller_spoke = True
                self._turn_over(event.at)
            case "outcome" | "call_ended":
                self._turn_over(event.at)
            case "verb" if event.data.get("verb") not in SILENT_VERBS:
                self._turn_over(event.at)
            case _:
                pass

    def _our_turn(self, at: float) -> None:
        self._ours = True
        if self._since is None and self._spell_at is None:
            self._since = at

    def _spell_over(self, at: float) -> None:
        length_ms = 0.0 if self._spell_at is None else (at - self._spell_at) * 1000
        self._spell_at = None
        if length_ms >= SENTENCE_MS or not self._caller_spoke:
            self._ours = False
        elif self._ours:
            self._since = at

    def _turn_over(self, at: float) -> None:
        self._wait_over(at)
        self._ours = False

    def _wait_over(self, at: float) -> None:
        if self._since is not None:
            self.waits.append(Wait(self._since, at))
        self._since = None


def left_behind(
    fresh: Mapping[int, Held], early: Mapping[int, Held], idle: Mapping[int, Held]
) -> list[str]:
    """What workers hold when all is over, against a fresh one's and their own after first calls."""
    sockets = max((held.sockets for held in fresh.values()), default=0)
    files = max((held.files for held in fresh.values()), default=0)
    found = []
    for pid, held in idle.items():
        if held.sockets > sockets:
            found.append(f"worker {pid} holds {held.sockets} sockets, a fresh one {sockets}")
        if held.files > files + DATABASE_FILES:
            found.append(f"worker {pid} holds {held.files} files, a fresh one {files}")
        before = early.get(pid)
        if before is not None and held.rss_kib - before.rss_kib > GROWTH_KIB:
            found.append(f"worker {pid} grew from {before.rss_kib} to {held.rss_kib} KiB")
    return found
