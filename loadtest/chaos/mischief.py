"""Makes the faults of a plan happen, at their step of the call."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from loadtest.chaos.plan import MODEL, OPENING, PROCESS, CallPlan, Fault
from loadtest.chaos.system import ServingProcesses
from loadtest.realtime import FaultPlan, SessionControls, SimulatedRealtime
from loadtest.twilio import CallEvent, SimulatedTwilio
from loadtest.twilio.call import CallLeg

LOOKED_BACK = 400
"""Model sessions among which a call's own is looked for."""
NEVER_MS = 120_000
GARBAGE = '{"event":"media","media":'


@dataclass
class Mischief:
    """Shared by all calls of a run. ``done`` counts what really happened."""

    system: ServingProcesses
    twilio: SimulatedTwilio
    database: Path
    realtime: SimulatedRealtime | None = None
    """Set once it runs; it asks ``opening_fault`` for each of its connections."""
    done: Counter[str] = field(default_factory=Counter)
    _opening: deque[FaultPlan] = field(default_factory=deque)

    def opening_fault(self, _index: int) -> FaultPlan:
        """For the next model connection."""
        return self._opening.popleft() if self._opening else FaultPlan()

    def of_call(self, plan: CallPlan, tasks: asyncio.TaskGroup) -> Callable[[CallEvent], None]:
        """The observer of one call. What it begins belongs to ``tasks``."""
        return _CallWatch(self, plan, tasks).observe

    # --- what can be done ----------------------------------------------------------------------

    async def act(self, fault: Fault, plan: CallPlan, leg: CallLeg | None) -> None:
        """Make it happen, where there is still something for it to happen to."""
        await asyncio.sleep(fault.after_ms / 1000)
        if fault.kind in MODEL:
            happened = self._to_model(fault, plan)
        elif fault.kind in PROCESS:
            happened = await self._to_process(fault)
        else:
            happened = leg is not None and self._to_twilio(fault, leg)
        if happened:
            self.done[fault.kind] += 1

    def expect(self, fault: Fault) -> FaultPlan:
        """The model connection that comes next has this fault; gives it, to take it back by."""
        plans = {
            "model_refuses_key": FaultPlan(refuse_key=True),
            "model_connects_slowly": FaultPlan(create_delay_ms=fault.length_ms),
            "model_says_nothing": FaultPlan(create_delay_ms=NEVER_MS),
            "model_never_configures": FaultPlan(configure_delay_ms=NEVER_MS),
            "model_refuses_configuration": FaultPlan(refuse_configuration=True),
        }
        expected = replace(plans[fault.kind])
        self._opening.append(expected)
        self.done[fault.kind] += 1
        return expected

    def take_back(self, fault: Fault, expected: FaultPlan) -> None:
        """The call is over. If nobody connected, nothing happened."""
        mine = [one for one in self._opening if one is expected]
        if mine:
            self._opening = deque(one for one in self._opening if one is not expected)
            self.done[fault.kind] -= 1

    def _to_model(self, fault: Fault, plan: CallPlan) -> bool:
        controls = self._controls(plan)
        if controls is None:
            return False
        acts: dict[str, Callable[[], None]] = {
            "model_1001": lambda: controls.drop("1001"),
            "model_1011": lambda: controls.drop("1011"),
            "model_reset": lambda: controls.drop("reset"),
            "model_half_open": lambda: controls.drop("half_open"),
            "model_expires": controls.expire,
            "model_stalls": controls.stall,
            "model_fails": lambda: controls.fail_next_response("server_error"),
            "model_rate_limited": lambda: controls.fail_next_response(
                "inference_rate_limit_exceeded"
            ),
            "model_garbage": controls.send_garbage,
        }
        acts[fault.kind]()
        return True

    def _controls(self, plan: CallPlan) -> SessionControls | None:
        """Of the session that was told this caller's last digits, while it lives."""
        if self.realtime is None:
            return None
        told = f"a number ending in {plan.last_digits}"
        for record in reversed(self.realtime.sessions[-LOOKED_BACK:]):
            if any(told in text for _, text in record.texts):
                with contextlib.suppress(KeyError):
                    return self.realtime.controls(record)
                return None
        return None

    def _to_twilio(self, fault: Fault, leg: CallLeg) -> bool:
        stream = leg.stream
        if stream is None:
            return False
        match fault.kind:
            case "twilio_reset":
                stream.break_off()
            case "twilio_stalls":
                stream.stall(fault.length_ms / 1000)
            case "twilio_garbage":
                stream.send_raw(GARBAGE)
            case "twilio_repeats_start":
                stream.send_start()
            case _:
                return False
        return True

    async def _to_process(self, fault: Fault) -> bool:
        if fault.kind == "workers_rolled":
            self.system.tell(self.system.pid, signal.SIGHUP)
            return True
        if fault.kind == "store_locked":
            await asyncio.to_thread(_hold_lock, self.database, fault.length_ms / 1000)
            return True
        pids = self.system.serving_pids()
        if len(pids) < 2:  # nobody would be left to take calls, which no deployment survives
            return False
        number = signal.SIGKILL if fault.kind == "worker_killed" else signal.SIGTERM
        self.system.tell(pids[fault.length_ms % len(pids)], number)
        return True


def _hold_lock(database: Path, length_s: float) -> None:
    """Another program holds the write lock."""
    with contextlib.closing(sqlite3.connect(database, timeout=5)) as other:
        with contextlib.suppress(sqlite3.OperationalError):  # somebody else holds it: as good
            other.execute("BEGIN IMMEDIATE")
        threading.Event().wait(length_s)
        other.rollback()


class _CallWatch:
    """Counts the steps of one call, and begins its faults when their step comes."""

    def __init__(self, mischief: Mischief, plan: CallPlan, tasks: asyncio.TaskGroup) -> None:
        self._mischief = mischief
        self._plan = plan
        self._tasks = tasks
        self._steps: Counter[str] = Counter()
        self._expected: list[tuple[Fault, FaultPlan]] = []

    def observe(self, event: CallEvent) -> None:
        step = {
            "call_started": "ringing",
            "stream_started": "stream",
            "caller_speech_started": "caller_speaks",
            "caller_speech_ended": "caller_spoke",
            "assistant_started": "assistant_speaks",
            "stream_closed": "handover",
        }.get(event.kind)
        if event.kind == "stream_opening":
            self._expect()
        elif event.kind == "call_ended":
            for fault, expected in self._expected:
                self._mischief.take_back(fault, expected)
        if step is None:
            return
        self._steps[step] += 1
        for fault in self._plan.faults:
            here = (fault.step, fault.turn) == (step, self._steps[step])
            if here and fault.kind not in (*OPENING, "webhook_repeated", "caller_hangs_up"):
                leg = self._leg(event.call_sid)
                self._tasks.create_task(self._mischief.act(fault, self._plan, leg))

    def _expect(self) -> None:
        for fault in self._plan.faults:
            if fault.kind in OPENING:
                self._expected.append((fault, self._mischief.expect(fault)))

    def _leg(self, call_sid: str) -> CallLeg | None:
        record = self._mischief.twilio.exchange.directory.call(call_sid)
        return None if record is None else record.leg
