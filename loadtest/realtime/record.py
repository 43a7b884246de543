"""What happened in a session, for tests and reports: counters, a timeline, and waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_FAULTS = 200


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    at_s: float
    """Monotonic seconds (the event loop's clock, shared by all sessions of a process)."""
    what: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClientFault:
    """Something that a correct client would not have done."""

    at_s: float
    what: str
    """An error code of the API, or a name of ours: wrong_format, duplicate_tool_output,
    unknown_tool, slow_reader, binary_frame."""
    detail: str


@dataclass(frozen=True, slots=True)
class Truncation:
    at_s: float
    item_id: str
    audio_end_ms: int
    """What the client says was heard."""
    generated_ms: int


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    at_s: float
    call_id: str
    tool: str
    output: str


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """One turn of the caller as the VAD cut it, on the clock of appended audio."""

    at_s: float
    """When ``speech_stopped`` was sent (or the turn was committed by hand)."""
    number: int
    item_id: str
    audio_start_ms: int
    audio_end_ms: int


@dataclass(slots=True)
class ResponseRecord:
    """One response; times are monotonic seconds, None while it has not come to that."""

    number: int
    response_id: str
    trigger: object
    """One of the triggers of ``script``."""
    automatic: bool
    """Made by the VAD, not by ``response.create``."""
    requested_s: float
    metadata: Mapping[str, str]
    created_s: float | None = None
    first_audio_s: float | None = None
    done_s: float | None = None
    status: str = "in_progress"
    reason: str | None = None
    audio_ms: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    at_s: float
    by: Literal["client", "server", "lost"]
    code: int | None
    reason: str


@dataclass(slots=True)
class _Waiter:
    condition: Callable[[SessionRecord], bool]
    done: asyncio.Future[None]


@dataclass(eq=False)
class SessionRecord:
    """Everything that a session saw. Lists grow in the order of events; read them at any time."""

    index: int
    """Number of the connection on this server, from 0."""
    session_id: str
    model: str
    scenario: str
    opened_s: float
    keep_events: bool
    """Whether whole events are kept (tests) or only counted (load)."""
    received: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    events_received: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    """Without ``input_audio_buffer.append``: of that the counters tell."""
    events_sent: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    appended_clock_ms: Callable[[], int] = lambda: 0
    unconfigured_ms: int = 0
    """Audio that was sent without waiting for ``session.updated``."""
    configuration: dict[str, Any] = field(default_factory=dict)
    """As last echoed."""
    configured: bool = False
    timeline: list[TimelineEntry] = field(default_factory=list)
    faults: list[ClientFault] = field(default_factory=list)
    """The first 200; ``fault_count`` goes on."""
    fault_count: int = 0
    turns: list[HeardTurn] = field(default_factory=list)
    responses: list[ResponseRecord] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Role and text of each message that the client put into the conversation."""
    tool_outputs: list[ToolAnswer] = field(default_factory=list)
    truncations: list[Truncation] = field(default_factory=list)
    deletions: list[str] = field(default_factory=list)
    ending: Ending | None = None
    _waiters: list[_Waiter] = field(default_factory=list)

    @property
    def appended_ms(self) -> int:
        """All audio appended so far, by the clock that the VAD's events are on."""
        return self.appended_clock_ms()

    def note(self, at_s: float, what: str, **detail: object) -> None:
        self.timeline.append(TimelineEntry(at_s, what, detail))
        self.changed()

    def fault(self, at_s: float, what: str, detail: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(ClientFault(at_s, what, detail))
        self.note(at_s, "fault", fault=what)

    def changed(self) -> None:
        """Wake those whose condition holds now."""
        if not self._waiters:
            return
        for waiter in [w for w in self._waiters if w.condition(self)]:
            self._waiters.remove(waiter)
            if not waiter.done.done():
                waiter.done.set_result(None)

    async def wait_for(
        self, condition: Callable[[SessionRecord], bool], timeout_s: float = 10.0
    ) -> SessionRecord:
        """Return once the condition holds; TimeoutError with the latest events if it never does."""
        if condition(self):
            return self
        waiter = _Waiter(condition, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.done
        except TimeoutError:
            latest = ", ".join(entry.what for entry in self.timeline[-12:])
            raise TimeoutError(
                f"session {self.index}: condition not met in {timeout_s} s; latest: {latest}"
            ) from None
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return self

    async def wait_for_sent(self, kind: str, count: int = 1, timeout_s: float = 10.0) -> None:
        """Until so many events of this type were sent."""
        await self.wait_for(lambda record: record.sent[kind] >= count, timeout_s)

    async def wait_closed(self, timeout_s: float = 10.0) -> Ending:
        await self.wait_for(lambda record: record.ending is not None, timeout_s)
        if self.ending is None:
            raise AssertionError("a condition that held does not hold")
        return self.ending
