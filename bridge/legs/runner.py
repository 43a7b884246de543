"""One call, running: its two legs, its core, its deadline, and the few tasks that really wait.

Caller audio goes from socket to socket within one callback. Everything else becomes an event for
``CallSession`` and its effects are performed within the same callback; only admission,
connecting, look-ups and the ending are tasks, and all of them belong to ``run``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import structlog

from audiocodecs import base64_length
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
from bridge.call.turns import AudioClock, TurnClock
from bridge.legs.caller_leg import CallerLeg
from bridge.legs.model_leg import ModelLeg, ModelUnavailableError
from bridge.legs.pool import ModelPool
from bridge.legs.sockets import TEXT
from bridge.protocol import realtime as rt
from bridge.protocol import twilio_stream as tw
from bridge.store.ledger import CallOpening, StoredDecision
from bridge.tenants import Tenant
from dispatch.outcome import Outcome

_log = structlog.get_logger("bridge.call")

HELD_FRAMES = 300
"""Six seconds of caller audio are kept while the model cannot take it; then the oldest go."""
STALLED_S = 10.0
"""A leg that stays over its write limit for so long ends the call."""
EARLY_EVENTS = 32
"""Messages between ``start`` and admission, which takes milliseconds."""
FRAME_CHARS = 216
"""Base64 characters of a usual 160-byte frame."""

Observer = Callable[[float, fx.Note], None]


class Hands(Protocol):
    """What a call needs done that waits: writing the decision, running look-ups."""

    async def settle(self, call: Call) -> None:
        """Write the one decision of this call, before its stream ends. Must not raise."""
        ...

    async def run_tool(self, call: Call, name: str, arguments: Mapping[str, object]) -> str:
        """Run a look-up and return its result as a JSON string. Must not raise."""
        ...


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


@dataclass(slots=True)
class Counters:
    """What went past without an event."""

    frames_in: int = 0
    frames_dropped: int = 0
    audio_out: int = 0


class Call:
    """Owner of everything that belongs to one call; ``run`` returns when nothing of it is left."""

    def __init__(
        self, leg: CallerLeg, start: tw.Start, hands: Hands, observer: Observer | None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._leg = leg
        self.start = start
        self.started_at = self._clock()
        self._hands = hands
        self._observer = observer
        self.counters = Counters()
        self.admission: Admission | None = None
        self.session: CallSession | None = None
        self.outcome: Outcome | None = None
        self.decision: StoredDecision | None = None
        self.model_closed_at: float | None = None
        self.stream_closed_at: float | None = None
        self._audio = AudioClock()
        self._model: ModelLeg | None = None
        self._append: Callable[..., None] | None = None
        """Sends to the model; None while audio has to be held back."""
        self._send_to_model: Callable[..., None] | None = None
        self._held: deque[str] = deque(maxlen=HELD_FRAMES)
        self._early: deque[Event] = deque(maxlen=EARLY_EVENTS)
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timers: dict[str, asyncio.TimerHandle] = {}
        self._perform: dict[type[Any], Callable[[Any], None]] = {
            tw.PlayAudio: self._play,
            tw.SendMark: lambda effect: leg.mark(effect.name),
            tw.ClearPlayback: lambda effect: leg.clear(),
            fx.RunTool: self._run_tool,
            fx.EndCall: self._end,
            fx.Note: self._note,
        }
        self.log = _log.bind(call_sid=start.call_sid)

    # --- the caller's audio: nothing but this happens 50 times a second ------------------------

    def caller_audio(self, payload: str) -> None:
        audio = self._audio
        audio.last_frame_at = self._clock()
        self.counters.frames_in += 1
        if self._append is None:
            if len(self._held) == HELD_FRAMES:
                self.counters.frames_dropped += 1
            self._held.append(payload)
            return
        audio.appended_ms += (
            tw.FRAME_MS
            if len(payload) == FRAME_CHARS
            else base64_length(payload) // tw.BYTES_PER_MS
        )
        self._append(TEXT, rt.encode_append(payload))

    # --- everything else -----------------------------------------------------------------------

    def caller_message(self, message: tw.Message) -> None:
        if isinstance(message, tw.Mark | tw.Dtmf | tw.Stop):
            self.feed(message)

    def caller_closed(self, reason: str) -> None:
        self.stream_closed_at = self.stream_closed_at or self._clock()
        self.feed(CallerLegClosed(reason))
        self._over.set()

    def caller_paused(self, paused: bool) -> None:
        self._watch_stall("caller", paused)

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
        elif timer is None or deadline < timer.when():
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(deadline, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self.feed(TimePassed())

    def _play(self, effect: tw.PlayAudio) -> None:
        self.counters.audio_out += 1
        self._leg.play(effect.payload)

    def _note(self, note: fx.Note) -> None:
        if self._observer is not None:
            self._observer(self._clock(), note)

    def _run_tool(self, effect: fx.RunTool) -> None:
        self._spawn(self._tool(effect))

    async def _tool(self, effect: fx.RunTool) -> None:
        output = await self._hands.run_tool(self, effect.name, effect.arguments)
        self.feed(ToolFinished(effect.call_id, output))

    def _end(self, effect: fx.EndCall) -> None:
        self.outcome = effect.outcome
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
            self._close_legs()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, admission: Admission) -> None:
        self.session = CallSession(
            admission.desk,
            admission.script,
            admission.limits,
            TurnClock(admission.vad_silence_ms, self._audio),
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

    def _bind(self, leg: ModelLeg) -> None:
        transport = leg.bind(self.feed, self._model_closed, self._model_paused)
        self._model = leg
        self._append = self._send_to_model = transport.send
        self.feed(ModelReady())
        self._release_held()

    def _release_held(self) -> None:
        """The caller's first words, spoken while the model was being reached."""
        held, self._held = self._held, deque(maxlen=HELD_FRAMES)
        last_frame_at = self._audio.last_frame_at
        for payload in held:
            self.caller_audio(payload)
        self.counters.frames_in -= len(held)
        self._audio.last_frame_at = last_frame_at

    def _model_closed(self, reason: str) -> None:
        self._append = None
        self.model_closed_at = self._clock()
        self.feed(ModelLegClosed(reason))

    def _model_paused(self, paused: bool) -> None:
        """Back-pressure: hold caller audio, oldest dropped first; control messages still go."""
        if paused:
            self._append = None
        elif self._model is not None and not self._model.closed:
            self._append = self._send_to_model
            self._release_held()
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

    def _close_legs(self) -> None:
        """The model first: nobody pays for both ends of a moved call."""
        self._append = None
        if self._model is not None:
            self._model.close()
            self.model_closed_at = self._model.closed_at
        self.stream_closed_at = self.stream_closed_at or self._clock()
        self._leg.close()
