"""The invariants: what must hold for every call, and for the processes afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from loadtest.chaos.plan import CallPlan
from loadtest.chaos.system import Held
from loadtest.twilio import CallEvent, CallResult
from loadtest.twilio.outcomes import CallerHungUp, Outcome, took_hold

SILENCE_MS = 3000
LEFT_BY_CHOICE = "hung up"
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

_WAITING_BEGINS = frozenset({"stream_started", "caller_speech_ended", "stream_closed"})
_WAITING_ENDS = frozenset(
    {"assistant_started", "caller_speech_started", "outcome", "call_ended", "dtmf"}
)


def faults_of_call(plan: CallPlan, result: CallResult, slack_ms: int) -> list[str]:
    """What does not hold, in words; empty: all does. ``slack_ms``: the machine's own lateness."""
    arrived = [one for one in result.outcomes if took_hold(one)]
    left = isinstance(result.outcomes[-1], CallerHungUp) and plan.hangs_up
    found = []
    if len(arrived) > 1:
        found.append(f"handed over {len(arrived)} times: {_names(arrived)}")
    if not arrived and not left:
        found.append(f"arrived nowhere: {_names(result.outcomes)} {result.outcomes[-1]}")
    found += [f"stream {one.url} never ended" for one in result.streams if one.ended is None]
    if not _excused(plan):
        waits = silences_ms(result.timeline)
        longest = max(waits, default=0)
        if longest > SILENCE_MS + slack_ms:
            found.append(f"the caller heard nothing for {longest} ms")
    return found


def _excused(plan: CallPlan) -> bool:
    """Twilio itself holds everything back."""
    return any(fault.kind == "twilio_stalls" for fault in plan.faults)


def _names(outcomes: Iterable[Outcome]) -> str:
    return ", ".join(type(one).__name__ for one in outcomes)


def silences_ms(timeline: Sequence[CallEvent]) -> list[int]:
    """How long the caller waited each time it was our turn: after the stream opened, after the
    caller's words, and after a stream ended."""
    found: list[int] = []
    since: int | None = None
    hears = False
    for event in timeline:
        if event.kind == "assistant_started":
            hears = True
        elif event.kind == "assistant_stopped":
            hears = False
        if event.kind in _WAITING_ENDS or (event.kind == "verb" and _sounds(event)):
            if since is not None:
                found.append(event.at_ms - since)
            since = None
        elif event.kind in _WAITING_BEGINS and since is None and not hears:
            since = event.at_ms
    return found


def _sounds(event: CallEvent) -> bool:
    """A verb of which the caller hears something."""
    return event.data.get("verb") not in ("Connect", "Redirect", "Response")


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
