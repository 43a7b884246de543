"""The other people of a call, scripted: the agent of a queue, and whoever is dialled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

DialStatus: TypeAlias = Literal["answers", "busy", "no-answer", "failed"]
QueueRefusal: TypeAlias = Literal["queue-full", "error", "system-error", "leave"]


@dataclass(frozen=True, slots=True)
class Agent:
    """Takes a waiting call ``after_ms``, talks, and hangs up; or the queue refuses it at once.

    ``after_ms`` None: nobody comes, the caller waits until they hang up.
    """

    after_ms: int | None = 500
    talks_ms: int = 0
    refusal: QueueRefusal | None = None


@dataclass(frozen=True, slots=True)
class Callee:
    """Somebody dialled. ``keys`` are pressed while a whisper runs: milliseconds after answering.

    ``hangs_up_after_ms``: leaves during the whisper. ``talks_ms``: how long a bridged call lasts.
    """

    answer: DialStatus = "answers"
    rings_ms: int = 200
    keys: tuple[tuple[int, str], ...] = ()
    hangs_up_after_ms: int | None = None
    talks_ms: int = 0
