"""A run: calls of a seed through the serving processes, judged one by one and then as a whole."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loadtest.chaos.conversation import lines, repeats, scenario, script
from loadtest.chaos.lateness import Lateness
from loadtest.chaos.mischief import Mischief
from loadtest.chaos.plan import CallPlan, draw_call
from loadtest.chaos.system import Held, ServingProcesses
from loadtest.chaos.verdict import SILENCE_MS, Wait, faults_of_call, left_behind, waits_of
from loadtest.realtime import SimulatedRealtime, SimulatorOptions
from loadtest.twilio import CallResult, Origins, PhoneNumber, Settings, SimulatedTwilio, WaitFor
from loadtest.twilio.outcomes import CallerHungUp

PUBLIC = "https://bridge.example"
ACCOUNT = "AC" + "a" * 32
FLOW = "FW" + "f" * 32
AUTH_TOKEN = "made-up-auth-token"  # noqa: S105 - of nobody
FALLBACK = f"https://webhooks.twilio.com/v1/Accounts/{ACCOUNT}/Flows/{FLOW}?Trigger=incomingCall"
"""The number's own fallback URL, for a webhook that nobody answered."""
FORGIVEN_PERCENT = 5
SETTLED_WITHIN_S = 60.0
SESSIONS_GONE_WITHIN_S = 10.0
WEIGHED_EACH_CALLS = 50
"""At least so many calls lie between two weighings: the first ones fill caches and the store."""
TRIAGE_FILE = Path(__file__).parent / "triage.toml"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run. ``only`` is the number of a single call; ``begun_each_ms`` spreads the starts.

    ``process_faults`` False leaves the processes and their store in peace, ``faults`` False
    everything. ``think``: what each caller waits for before the second sentence.
    """

    seed: int
    calls: int = 100
    only: int | None = None
    workers: int = 2
    at_once: int = 20
    begun_each_ms: int = 100
    process_faults: bool = True
    faults: bool = True
    think: WaitFor | None = None

    def plans(self) -> list[CallPlan]:
        numbers = range(self.calls) if self.only is None else [self.only]
        plans = [draw_call(self.seed, number, self.process_faults) for number in numbers]
        return plans if self.faults else [replace(plan, faults=()) for plan in plans]


@dataclass(slots=True)
class Report:
    """What came of it. Empty ``broken`` and ``left``: every invariant held."""

    outcomes: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    broken: dict[int, list[str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    slack_ms: int = 0
    """The most that this machine held up a timer of its own, at once."""
    waits: list[int] = field(default_factory=list)
    """Milliseconds that callers waited for a sound, each time that it was our turn."""
    forgiven: int = 0
    """Waits beyond the limit by no more than this machine itself was late meanwhile."""

    @property
    def judged(self) -> bool:
        """Whether the machine left enough time to say anything of silences."""
        return self.forgiven * 100 <= len(self.waits) * FORGIVEN_PERCENT

    @property
    def held(self) -> bool:
        return not self.broken and not self.left and self.judged


Tell = Callable[[str], None]
Meanwhile = Callable[[ServingProcesses, SimulatedTwilio], Coroutine[Any, Any, None]]


async def _nothing(_system: ServingProcesses, _twilio: SimulatedTwilio) -> None:
    """Nothing is done beside the calls."""


async def run(
    wanted: Wanted,
    folder: Path,
    environ: Mapping[str, str],
    tell: Tell,
    meanwhile: Meanwhile = _nothing,
) -> Report:
    """``folder`` takes database and log; ``environ`` is added to the processes' environment.

    ``meanwhile`` runs beside the calls, and must come to its end.
    """
    port = _free_port()
    database = folder / "calls.db"
    twilio = SimulatedTwilio(_twilio(port), _number(), random.Random(wanted.seed))
    system = ServingProcesses({}, port, wanted.workers, folder)
    mischief = Mischief(system, twilio, database)
    options = SimulatorOptions(
        scenario=scenario,
        profile="instant",
        lines=lines(),
        seed=wanted.seed,
        faults=mischief.opening_fault,
        keep_events=False,
    )
    async with SimulatedRealtime(options) as realtime:
        mischief.realtime = realtime
        async with twilio:
            env = {**_environ(realtime, twilio, database), **environ}
            system = ServingProcesses(env, port, wanted.workers, folder)
            mischief.system = system
            async with system:
                report = await _Run(wanted, mischief, tell).go(meanwhile(system, twilio))
                await _settle(report, realtime, mischief)
            report.left += _after(system)
    return report


class _Run:
    def __init__(self, wanted: Wanted, mischief: Mischief, tell: Tell) -> None:
        self._wanted = wanted
        self._plans = wanted.plans()
        self._mischief = mischief
        self._tell = tell
        self._report = Report()
        self._places = asyncio.Semaphore(wanted.at_once)
        self._done = 0
        self.fresh: dict[int, Held] = {}
        self.early: dict[int, Held] = {}
        self._seen: set[int] = set()
        self._late = Lateness()

    async def go(self, beside: Coroutine[Any, Any, None]) -> Report:
        self.fresh = self._mischief.system.held()
        late = asyncio.create_task(self._late.run())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(beside)
                for plan in self._plans:
                    await self._places.acquire()
                    tasks.create_task(self._call(plan))
                    await asyncio.sleep(self._wanted.begun_each_ms / 1000)
        finally:
            late.cancel()
        self._report.happened = self._mischief.done
        self._report.left += await self._idle()
        return self._report

    async def _call(self, plan: CallPlan) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                observer = self._mischief.of_call(plan, tasks)
                result = await self._mischief.twilio.place_call(
                    script(plan, self._wanted.think), observer, repeats=repeats(plan)
                )
            self._judge(plan, result)
        finally:
            self._places.release()

    def _judge(self, plan: CallPlan, result: CallResult) -> None:
        self._report.outcomes[type(result.outcome).__name__] += 1
        self._count_waits(plan, waits_of(plan, result))
        self._count_callers_own(plan, result)
        found = faults_of_call(plan, result, self._late.between)
        if found:
            self._report.broken[plan.number] = found
            faults = "; ".join(map(str, plan.faults)) or "no fault of its own"
            self._tell(f"call {plan.number} ({result.call_sid}): {'; '.join(found)} [{faults}]")
        self._done += 1
        if self._done % max(WEIGHED_EACH_CALLS, len(self._plans) // 10) == 0:
            self._weigh()
        if self._done % 50 == 0:
            self._tell(f"{self._done} calls, {len(self._report.broken)} broken")

    def _count_callers_own(self, plan: CallPlan, result: CallResult) -> None:
        """What is part of the call's script, and not done to it."""
        asked = Counter(webhook.purpose for webhook in result.webhooks)
        if any(asked[purpose] > 1 for purpose in repeats(plan)):
            self._mischief.done["webhook_repeated"] += 1
        if plan.hangs_up and any(isinstance(one, CallerHungUp) for one in result.outcomes):
            self._mischief.done["caller_hangs_up"] += 1

    def _count_waits(self, plan: CallPlan, waits: list[Wait]) -> None:
        report = self._report
        report.slack_ms = self._late.worst_ms
        report.waits += [wait.ms for wait in waits]
        for wait in waits:
            late_ms = round(self._late.between(wait.begin, wait.end))
            if SILENCE_MS < wait.ms <= SILENCE_MS + late_ms:
                report.forgiven += 1
                told = f"{wait.ms} ms of silence, {late_ms} of which the machine was late"
                self._tell(f"call {plan.number}, forgiven: {told}")

    def _weigh(self) -> None:
        """What a worker holds the second time it is looked at: by then it has taken calls."""
        held = self._mischief.system.held()
        for pid in held.keys() & self._seen:
            self.early.setdefault(pid, held[pid])
        self._seen |= held.keys()

    async def _idle(self) -> list[str]:
        """Once nothing is asked of them any more, workers hold what fresh ones do."""
        await self._mischief.twilio.hang_up_connections()
        ends_at = time.monotonic() + SETTLED_WITHIN_S
        while True:
            idle = self._mischief.system.held()
            left = left_behind(self.fresh, self.early, idle)
            if not left or time.monotonic() > ends_at:
                return left
            await asyncio.sleep(0.5)


async def _settle(report: Report, realtime: SimulatedRealtime, mischief: Mischief) -> None:
    if mischief.twilio.live_calls:
        report.left.append(f"{mischief.twilio.live_calls} calls are still there")
    # The simulated end of a half-open connection stays: it is the one that hears nothing.
    expected = mischief.done["model_half_open"]
    ends_at = time.monotonic() + SESSIONS_GONE_WITHIN_S
    # Nobody tells when one is gone.
    while realtime.connections.open > expected and time.monotonic() < ends_at:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    if realtime.connections.open > expected:
        report.left.append(f"{realtime.connections.open} model sessions outlive all calls")


def _after(system: ServingProcesses) -> list[str]:
    """What the processes said of themselves at their end."""
    left = [
        f"a worker stopped with {entry['tasks_left']} tasks"
        for entry in system.logged("stopped")
        if entry["tasks_left"]
    ]
    failed = ("call_failed", "call_task_failed", "supervisor_task_failed", "worker_killed")
    left += [f"logged {entry['event']}: {entry}" for entry in system.logged(*failed)]
    if system.status != 0:
        left.append(f"serve ended with status {system.status}")
    return left


# --- the surroundings -------------------------------------------------------------------------


def _twilio(port: int) -> Settings:
    return Settings(
        account_sid=ACCOUNT,
        auth_token=AUTH_TOKEN,
        origins=Origins({PUBLIC: f"http://127.0.0.1:{port}"}),
        say_ms_per_word=0,
    )


def _number() -> PhoneNumber:
    return PhoneNumber(f"{PUBLIC}/voice", fallback_url=FALLBACK, status_callback=f"{PUBLIC}/status")


def _environ(
    realtime: SimulatedRealtime, twilio: SimulatedTwilio, database: Path
) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": "sk-made-up",
        "REALTIME_URL": realtime.url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_REST_URL": twilio.rest_url,
        "PUBLIC_URL": PUBLIC,
        "ENTRY": "studio",
        "STUDIO_FLOW_SID": FLOW,
        "TRIAGE_FILE": str(TRIAGE_FILE),
        "DATABASE_URL": f"sqlite:///{database}",
        "POOL_SIZE": "0",
        "DRAIN_S": "5",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
