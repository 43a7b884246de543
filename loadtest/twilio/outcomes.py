"""Where a call went, in the order it went there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class StudioReturn:
    """Back into the TwiML Redirect widget it came from; ``params`` are the extra ones."""

    flow_sid: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StudioTrigger:
    """Into a flow as if newly called (``Trigger=incomingCall`` or the plain flow URL)."""

    flow_sid: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FlexTask:
    """Enqueued for an agent. ``attributes`` are the document's, ``merged`` what the agent sees.

    ``queue_result`` is how the waiting ended (``bridged``, ``queue-full``, ``hangup``, ...).
    """

    task_sid: str
    workflow_sid: str
    attributes: Mapping[str, object]
    merged: Mapping[str, object]
    priority: int
    timeout_s: int
    queue_result: str


@dataclass(frozen=True, slots=True)
class Queued:
    """Put into a plain queue without a workflow."""

    queue: str
    queue_result: str


@dataclass(frozen=True, slots=True)
class Dialled:
    """Connected, or not, to one of the numbers or SIP addresses called."""

    targets: tuple[str, ...]
    status: str
    bridged: bool
    answered_by: str | None


@dataclass(frozen=True, slots=True)
class Voicemail:
    """The caller's words were recorded."""

    recording_sid: str
    duration_ms: int
    ended_by: str


@dataclass(frozen=True, slots=True)
class Hangup:
    """The document hung up."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The document refused the call before it was answered."""

    reason: str


@dataclass(frozen=True, slots=True)
class FellOffTheEnd:
    """No verb was left, so Twilio hung up."""


@dataclass(frozen=True, slots=True)
class CallerHungUp:
    """The caller left, or the time the script allows was over."""

    reason: str


@dataclass(frozen=True, slots=True)
class CompletedByRest:
    """A REST update ended the call."""


@dataclass(frozen=True, slots=True)
class DocumentError:
    """No usable document: the caller hears "an application error has occurred"."""

    code: int
    message: str
    url: str


Outcome: TypeAlias = (
    StudioReturn
    | StudioTrigger
    | FlexTask
    | Queued
    | Dialled
    | Voicemail
    | Hangup
    | Rejected
    | FellOffTheEnd
    | CallerHungUp
    | CompletedByRest
    | DocumentError
)

BRIDGED = frozenset({"bridged", "bridging-in-process", "redirected-from-bridged"})


def took_hold(outcome: Outcome) -> bool:
    """Whether the call arrived somewhere, as against being refused there or merely ending."""
    match outcome:
        case StudioReturn() | StudioTrigger() | Voicemail():
            return True
        case FlexTask(queue_result=result) | Queued(queue_result=result):
            return result in BRIDGED
        case Dialled(bridged=bridged):
            return bridged
        case _:
            return False


def decisive(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome that counts: the last place the call arrived at, else how it ended."""
    if not outcomes:
        raise ValueError("outcomes is empty, expected how the call ended")
    return next((outcome for outcome in reversed(outcomes) if took_hold(outcome)), outcomes[-1])
