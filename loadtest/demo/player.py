"""Plays the calls of the demo, one after the other, and judges where each has arrived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from loadtest.demo.calls import DemoCall, Destination
from loadtest.demo.figures import Cut, TurnFigures, Verdicts
from loadtest.demo.live import LiveCall
from loadtest.demo.screen import Screen
from loadtest.demo.timeline import Entry, Note, Timeline, session_of, words_so_far
from loadtest.realtime import SessionRecord, SimulatedRealtime
from loadtest.twilio import (
    CallEvent,
    CallResult,
    FlexTask,
    Hangup,
    Outcome,
    SimulatedTwilio,
    StudioReturn,
)

HEARD_OUT = "closing_heard"
_TELLING = (
    "intent",
    "queue",
    "priority",
    "urgency",
    "name",
    "callback",
    "summary",
    "reference",
    "reason",
    "handoffReason",
    "missing",
    "language",
)


@dataclass(frozen=True, slots=True)
class CallReport:
    """One call when it is over. ``faults`` empty: it went as it has to."""

    call: DemoCall
    result: CallResult
    entries: tuple[Entry, ...]
    turns: tuple[TurnFigures, ...]
    cuts: tuple[Cut, ...]
    arrived: str
    faults: tuple[str, ...]


class Player:
    """``model`` is None where the real one answers. One call at a time."""

    def __init__(
        self, twilio: SimulatedTwilio, screen: Screen, model: SimulatedRealtime | None = None
    ) -> None:
        self._twilio = twilio
        self._screen = screen
        self._model = model
        self._call_sid = ""
        self._timeline = Timeline(0.0)
        self._live: LiveCall | None = None

    def bridge_noted(self, call_sid: str, at: float, note: Note) -> None:
        """What the bridge says of a call, ``at`` in monotonic seconds."""
        if self._live is None or call_sid != self._call_sid:
            return
        self._timeline.bridge(at, note)
        self._live.bridge(self._timeline.ms(at), note)

    async def play(self, call: DemoCall) -> CallReport:
        """The whole call, in real time."""
        live = self._live = LiveCall(call, self._screen, self._overheard)
        self._call_sid = ""
        with self._screen.live():
            result = await self._twilio.place_call(call.script, self._observe)
        live.close(result.duration_ms)
        self._live = None
        session = self._session(result)
        if session is not None:
            self._timeline.model(session)
        arrived, facts = described(result.outcome, live.verdicts)
        self._screen.line(result.duration_ms, "outcome", f"the call is {arrived}")
        self._tell_facts(facts)
        faults = tuple(faults_of(call, result, live, session))
        for fault in faults:
            self._screen.line(result.duration_ms, "fault", fault)
        cuts, turns = tuple(live.cuts), tuple(live.turns)
        return CallReport(call, result, self._timeline.entries, turns, cuts, arrived, faults)

    def _tell_facts(self, facts: Mapping[str, object]) -> None:
        """What matters to whoever takes the call; of the rest only the names."""
        told = {name: facts[name] for name in _TELLING if facts.get(name) not in (None, "")}
        others = [name for name in facts if name not in told]
        self._screen.facts(told)
        if others:
            self._screen.facts({"and also": ", ".join(others)}, whole=True)

    def _observe(self, event: CallEvent) -> None:
        if self._live is None:
            return
        if not self._call_sid:
            self._call_sid = event.call_sid
            self._timeline = Timeline(event.at - event.at_ms / 1000)
        self._timeline.twilio(event)
        self._live.twilio(event)

    def _overheard(self, item: str) -> str:
        """What the simulated model has said of an item so far, as its words run ahead."""
        sessions = self._model.sessions if self._model is not None else []
        return next((words for one in sessions if (words := words_so_far(one, item))), "")

    def _session(self, result: CallResult) -> SessionRecord | None:
        if self._model is None:
            return None
        first = self._timeline.started
        return session_of(self._model.sessions, first, first + result.duration_ms / 1000)


def faults_of(
    call: DemoCall, result: CallResult, live: LiveCall, session: SessionRecord | None
) -> Iterator[str]:
    """Everything that is not as it has to be, in words."""
    arrived = destination(result.outcome, live.verdicts)
    if arrived != call.expected:
        got = arrived or described(result.outcome, live.verdicts)[0]
        yield f"expected {call.expected}, got {got}"
    if live.verdicts.ended != HEARD_OUT:
        yield f"the closing line was not heard to its end: {live.verdicts.ended}"
    if any(one.interrupts for one in call.spoken) and not live.cuts:
        yield "the caller spoke over the assistant, which was not interrupted"
    for notice in result.errors:
        yield f"Twilio would log {int(notice.code)}: {notice.message}"
    for fault in session.faults if session is not None else ():
        yield f"the model was told something wrong: {fault.what} ({fault.detail})"


def destination(outcome: Outcome, verdicts: Verdicts) -> Destination | None:
    """The place in the demo's terms; None where it is none of those."""
    match outcome:
        case StudioReturn(params=params):
            return Destination("studio", params.get("intent"), params.get("queue"))
        case FlexTask(attributes=attributes, queue_result="bridged"):
            return Destination("flex", _text(attributes, "intent"), _text(attributes, "queue"))
        case Hangup() if verdicts.route == "resolve":
            return Destination("resolved")
        case _:
            return None


def described(outcome: Outcome, verdicts: Verdicts) -> tuple[str, Mapping[str, object]]:
    """Where a call is, in words, and what Twilio knows of it there."""
    match outcome:
        case StudioReturn(flow_sid=flow, params=params):
            return f"back in Studio, flow {flow}", params
        case FlexTask():
            return _task(outcome)
        case Hangup() if verdicts.route == "resolve":
            return "answered on the line and over", {}
        case _:
            return f"elsewhere: {outcome}", {}


def _task(task: FlexTask) -> tuple[str, Mapping[str, object]]:
    where = f"in Flex with task {task.task_sid}, priority {task.priority}: {task.queue_result}"
    return where, task.attributes


def _text(attributes: Mapping[str, object], name: str) -> str | None:
    value = attributes.get(name)
    return None if value is None else str(value)
