"""One call, running: its two legs, its core, its deadline, and the few tasks that really wait.

Caller audio goes from socket to socket within one callback. Everything else becomes an event for
``CallSession`` and its effects are performed within the same callback; only admission,
connecting, look-ups and the ending are tasks, and all of them belong to ``run``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import structlog

from bridge.call import effects as fx
from bridge.call.events import (
    CallerLegClosed,
    CallerStarted,
    Event,
    HandoverRequested,
    ModelLegClosed,
    ModelReady,
    TimePassed,
    ToolFinished,
)
from bridge.call.limits import CallLimits
from bridge.call.session import CallSession
from bridge.call.state import Script
from bridge.call.triage import TriageDesk
from bridge.call.turns import TurnClock
from bridge.legs.caller_audio import CallerAudio, Send
from bridge.legs.caller_leg import CallerLeg
from bridge.legs.model_leg import ModelLeg, ModelUnavailableError
from bridge.legs.pool import ModelPool
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from bridge.store.ledger import CallOpening, StoredDecision
from bridge.store.recorder import CallRecord, CallSummary
from bridge.tenants import Tenant
from bridge.traffic.desk import TrafficDesk
from dispatch.outcome import Outcome

_log = structlog.get_logger("bridge.call")

STALLED_S = 10.0
"""A leg that stays over its write limit for so long ends the call."""
EARLY_EVENTS = 32
"""Messages between ``start`` and admission, which takes milliseconds."""

Observer = Callable[[float, fx.Note], None]
KeepRecord = Callable[[CallOpening, float], CallRecord]
"""Begins the record of a call whose stream began at so many monotonic seconds."""
PassedOn = Callable[[CallOpening, str], None]
"""Writes down a call that the AI does not take, and why."""


class Hands(Protocol):
    """What a call needs done that waits: writing the decision, running look-ups."""

    async def settle(self, call: Call) -> None:
        """Write the one decision of this call, before its stream ends. Must not raise."""
        ...

    async def run_tool(self, call: Call, name: str, arguments: Mapping[str, object]) -> str:
        """Run a look-up and return its result as a JSON string. Must not raise."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What every call of a process uses. ``observe`` gives a call's observer, by CallSid."""

    hands: Hands
    observe: Callable[[str], Observer] | None = None
    traffic: TrafficDesk | None = None
    keep_record: KeepRecord | None = None
    passed_on: PassedOn | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that may go on: who it is, what is said to it, and by which rules."""

    opening: CallOpening
    tenant: Tenant
    desk: TriageDesk
    script: Script
    limits: CallLimits
    vad_silence_ms: int
    pool: ModelPool


class Call:
    """Owner of everything that belongs to one call; ``run`` returns when nothing of it is left."""

    def __init__(self, leg: CallerLeg, start: tw.Start, services: Services) -> None:
        self._loop = asyncio.get_running_loop()
        # The loop's own base, but exact: uvloop's time stands still within a callback.
        self._clock = time.monotonic
        self._leg = leg
        self.start = start
        self.started_at = self._clock()
        self._hands = services.hands
        self._observer = None if services.observe is None else services.observe(start.call_sid)
        self._traffic = services.traffic
        self._keep_record = services.keep_record
        self._record: CallRecord | None = None
        self.admission: Admission | None = None
        self.session: CallSession | None = None
        self.outcome: Outcome | None = None
        self.decision: StoredDecision | None = None
        self.written = True
        """Whether the decision, once there is one, stands in the ledger."""
        self.model_closed_at: float | None = None
        self.stream_closed_at: float | None = None
        self.audio = CallerAudio()
        self.caller_audio = self.audio.push
        self._model: ModelLeg | None = None
        self._send_to_model: Send
        self._early: deque[Event] = deque(maxlen=EARLY_EVENTS)
        self._over = asyncio.Event()
        self._stream_over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._stall_timers: dict[str, asyncio.TimerHandle] = {}
        self._perform: dict[type[Any], Callable[[Any], None]] = {
            tw.PlayAudio: self._play,
            tw.SendMark: lambda effect: leg.mark(effect.name),
            tw.ClearPlayback: lambda effect: leg.clear(),
            fx.RunTool: self._run_tool,
            fx.ReconnectModel: self._reconnect,
            fx.EndCall: self._end,
            fx.Note: self._note,
        }
        self.log = _log.bind(call_sid=start.call_sid)

    # --- everything else -----------------------------------------------------------------------

    def caller_message(self, message: tw.Message) -> None:
        if isinstance(message, tw.Stop):
            self._stream_over.set()
        if isinstance(message, tw.Mark | tw.Dtmf | tw.Stop):
            self.feed(message)

    def caller_closed(self, reason: str) -> None:
        self.stream_closed_at = self.stream_closed_at or self._clock()
        self._stream_over.set()
        self.feed(CallerLegClosed(reason))
        self._over.set()

    def caller_paused(self, paused: bool) -> None:
        self._watch_stall("caller", paused)

    async def stream_over(self, within_s: float) -> None:
        """Wait until Twilio has ended the stream, or so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._stream_over.wait()

    def decided(self, decision: StoredDecision) -> None:
        """What stands for this call, whoever wrote it first."""
        self.decision = decision
        self._note(fx.Note("settled", {"route": decision.route, "reason": decision.reason}))

    def refuse(self, reason: str) -> None:
        """Not admitted: the stream closes with this reason, the call goes to its next verb."""
        self._leg.close(reason)

    def hand_over(self, reason: str) -> None:
        """Move this call on now, with what is known."""
        self.feed(HandoverRequested(reason))

    def feed(self, event: Event) -> None:
        """Let the core judge ``event`` and do what follows, all before this returns."""
        session = self.session
        if session is None:
            self._early.append(event)
            return
        for effect in session.handle(event, self._clock()):
            perform = self._perform.get(type(effect))
            if perform is not None:
                perform(effect)
            elif self._model is not None:
                self._model.send(cast("rt.Command", effect))
        session.turns.written(self._clock())
        self._arm(session.next_deadline)

    def _arm(self, deadline: float | None) -> None:
        """One timer a call, moved only when something is due earlier than it."""
        timer = self._timer
        if deadline is None:
            if timer is not None:
                timer.cancel()
                self._timer = None
        # Kept here: for what is due already, uvloop's handle does not know its time.
        elif timer is None or deadline < self._timer_at:
            if timer is not None:
                timer.cancel()
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self.feed(TimePassed())

    def _play(self, effect: tw.PlayAudio) -> None:
        self._leg.play(effect.payload)

    def _note(self, note: fx.Note) -> None:
        now = self._clock()
        if self._observer is not None:
            self._observer(now, note)
        if self._record is not None:
            self._record.note(now, note)
            if note.kind == "turn":  # what it cost until now, should this process die
                self._sum_up(self._record)
        if self._traffic is not None and self.admission is not None:
            self._traffic.noted(self.admission.opening.tenant, note)

    def _run_tool(self, effect: fx.RunTool) -> None:
        self._spawn(self._tool(effect))

    async def _tool(self, effect: fx.RunTool) -> None:
        output = await self._hands.run_tool(self, effect.name, effect.arguments)
        self.feed(ToolFinished(effect.call_id, output))

    def _end(self, effect: fx.EndCall) -> None:
        self.outcome = effect.outcome
        if self._model is not None:
            self.audio.hold()
            self._model.close()  # while the decision is being written nobody needs it
        self._over.set()

    # --- life ----------------------------------------------------------------------------------

    async def run(self, admit: Callable[[Call], Awaitable[Admission | None]]) -> None:
        """From ``start`` to the last socket closed."""
        try:
            self.admission = await admit(self)
            if self.admission is not None:
                self._begin(self.admission)
                await self._over.wait()
                self._stop_tasks()
                await self._hands.settle(self)
        finally:
            self._stop_tasks()
            self._arm(None)
            await self._close_legs()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._report()
            self._perform.clear()  # methods of ours: they would keep us until the collector comes

    def _sum_up(self, record: CallRecord) -> None:
        if self.session is None or self.admission is None:
            return
        tenant = self.admission.tenant
        heard = tenant.session.transcription
        record.closed(
            CallSummary(
                model=tenant.session.model,
                usage=self.session.state.usage,
                stream_s=(self.stream_closed_at or self._clock()) - self.started_at,
                transcription_model=None if heard is None else heard.model,
                instructions=tenant.instructions.version,
                overlap_ms=self.overlap_ms,
            )
        )

    def _report(self) -> None:
        if self._record is not None:
            self._sum_up(self._record)
        if self._traffic is None or self.admission is None:
            return
        opening, stream_s = self.admission.opening, self._clock() - self.started_at
        self._traffic.over(opening.call_sid, opening.tenant, self.outcome, stream_s, self.written)

    def _begin(self, admission: Admission) -> None:
        if self._keep_record is not None:
            self._record = self._keep_record(admission.opening, self.started_at)
        if self._traffic is not None:
            opening = admission.opening
            self._traffic.begun(opening.call_sid, opening.tenant, opening.from_number)
        self.session = CallSession(
            admission.desk,
            admission.script,
            admission.limits,
            TurnClock(admission.vad_silence_ms, self.audio),
        )
        self.feed(CallerStarted())
        while self._early:
            self.feed(self._early.popleft())
        self._spawn(self._find_model(admission.pool))

    async def _find_model(self, pool: ModelPool) -> None:
        try:
            leg = pool.take() or await pool.connect()
            if self._over.is_set():
                leg.close()
            else:
                self._bind(leg)
        except ModelUnavailableError as error:
            self.log.warning("model_unavailable", reason=error.reason, detail=str(error)[:200])
            self.feed(ModelLegClosed(error.reason))

    def _reconnect(self, effect: fx.ReconnectModel) -> None:
        if self.admission is not None:
            self._spawn(self._find_model(self.admission.pool))

    def _bind(self, leg: ModelLeg) -> None:
        self._send_to_model = leg.bind(self.feed, self._model_closed, self._model_paused).send
        self._model = leg
        self.model_closed_at = None
        self.feed(ModelReady())
        self.audio.appended_ms = 0  # a session counts from its own first frame
        self.audio.flow(self._send_to_model)

    def _model_closed(self, reason: str) -> None:
        self.audio.hold()
        self.model_closed_at = self._clock()
        self.feed(ModelLegClosed(reason))

    def _model_paused(self, paused: bool) -> None:
        """Back-pressure: hold caller audio, oldest dropped first; control messages still go."""
        if paused:
            self.audio.hold()
        elif self._model is not None and not self._model.closed:
            self.audio.flow(self._send_to_model)
        self._watch_stall("model", paused)

    def _watch_stall(self, leg: str, paused: bool) -> None:
        timer = self._stall_timers.pop(leg, None)
        if timer is not None:
            timer.cancel()
        if paused:
            reason = f"{leg}_stalled"
            self._stall_timers[leg] = self._loop.call_later(STALLED_S, self.hand_over, reason)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.log.error("call_task_failed", error=repr(task.exception())[:300])
            self.hand_over("internal_error")

    def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        for timer in self._stall_timers.values():
            timer.cancel()
        self._stall_timers.clear()

    async def _close_legs(self) -> None:
        """The model first, and gone before the call moves: nobody pays for both ends of it."""
        self.audio.hold()
        try:
            if self._model is not None:
                self._model.close()
                await self._model.wait_closed()
                gone_at = self._model.gone_at or self._clock()
                self.model_closed_at = self.model_closed_at or gone_at
        finally:
            self.stream_closed_at = self.stream_closed_at or self._clock()
            self._leg.close()
            await self._leg.wait_closed()
        if self._model is not None:
            self._note(fx.Note("legs_closed", {"overlap_ms": self.overlap_ms}))

    @property
    def overlap_ms(self) -> float | None:
        """How long the model's socket outlived Twilio's stream: billed at both ends.

        None while either is open, 0.0 for a call that had no model.
        """
        if self.stream_closed_at is None:
            return None
        if self.model_closed_at is None:
            return None if self._model is not None else 0.0
        return round(max(0.0, self.model_closed_at - self.stream_closed_at) * 1000, 3)
