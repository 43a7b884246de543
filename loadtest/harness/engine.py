"""One run: places calls, follows them, and makes a result of what was measured."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import platform
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from loadtest.harness import gates as gating
from loadtest.harness.arrivals import begins, keeps_places
from loadtest.harness.callers import Caller
from loadtest.harness.calllog import CallLog
from loadtest.harness.carrier import FaultyCarrier, MarkingCarrier
from loadtest.harness.figures import Latency
from loadtest.harness.frames import UNDER_WAY_S
from loadtest.harness.judging import RUN_OVER, judge_call
from loadtest.harness.meter import Meter, Now
from loadtest.harness.names import COUNTS
from loadtest.harness.plan import TO_CALLER, TO_MODEL, RunPlan
from loadtest.harness.processes import ProcessWatch
from loadtest.harness.result import Figure, Result
from loadtest.harness.surroundings import Surroundings, cores, open_files_limit, surroundings
from loadtest.harness.tracking import CallTrack, Ear, Tracker
from loadtest.twilio import CallResult, DocumentError, Fittings, Lateness, StreamEnd

LATE_P99_LIMIT_MS = 5.0
"""A generator that is later than this cannot say that the bridge was."""
NO_CALL = "no call was placed"
NEVER_LATE = Lateness(0, 0, 0.0, 0.0, 0.0, 0)
PRIORITY = -10
ENDED_WITHIN_S = 15.0
AT_ONCE_S = 1.5
FIRST_CALLS = 10
"""If all of so many end at once, the rest would too."""
PAUSE_AFTER_FAILURE_S = 1.0

OnProgress = Callable[[Now], None]


class RunError(Exception):
    """The run makes no sense; the message says what happened."""


def _ignore(_now: Now) -> None:
    """Nobody watches."""


async def run(
    plan: RunPlan, on_progress: OnProgress = _ignore, stop: asyncio.Event | None = None
) -> Result:
    """Place the calls of ``plan``; ``stop`` ends it early, with a result marked partial.

    Raises RunError, TargetError, ServingError, ProcessError, OSError.
    """
    open_files_limit()
    meter = Meter(random.Random(f"{plan.seed}:turns"))
    tracker = Tracker(meter, follows_model=plan.realtime == "simulated")
    async with surroundings(plan, tracker) as around:
        with _no_long_pauses(), _before_others():
            return await _Run(plan, around, meter, tracker, on_progress).go(stop or asyncio.Event())


@contextlib.contextmanager
def _no_long_pauses() -> Iterator[None]:
    """The collector looks only at what the run itself makes, and seldom at all of it."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextlib.contextmanager
def _before_others() -> Iterator[None]:
    """Where permitted, ahead of ordinary processes: a late generator can blame nobody.

    The bridge, if it is ours, has been started by now and stays an ordinary process.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, min(before, PRIORITY))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


@dataclass(eq=False)
class _Run:
    plan: RunPlan
    around: Surroundings
    meter: Meter
    tracker: Tracker
    on_progress: OnProgress
    placed: int = 0
    began: float = 0.0
    trouble: str | None = None
    lateness: Lateness = NEVER_LATE
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _up: set[int] = field(default_factory=set)
    """Numbers of the calls that are up, as they were placed."""
    _at_once: list[str] = field(default_factory=list)
    _first: int | None = None
    """So many were placed when enough had ended at once, and no other had ended."""

    @property
    def up(self) -> int:
        return len(self._up)

    # --- its course -----------------------------------------------------------------------------

    async def go(self, stop: asyncio.Event) -> Result:
        plan = self.plan
        # Not from the seed: a bridge limits how often a number calls, whichever run it calls in.
        first_number = random.Random().randrange(10_000_000)
        rng = random.Random(f"{plan.seed}:callers")
        self.callers = plan.callers.drawn(rng, first_number)
        self.lines = random.Random(f"{plan.seed}:lines")
        pid = plan.pid if self.around.bridge is None else self.around.bridge.pid
        self.watch = None if pid is None else ProcessWatch(pid)
        await _settle(plan.settle_s, stop)
        if stop.is_set():
            self._over.set()
        if self.watch is not None:
            self.watch.begin()
        started_at = datetime.now(UTC)
        self.began, used_s = time.monotonic(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            clock = tasks.create_task(self._clock())
            over = tasks.create_task(self._until_over(stop))
            await self._calls()
            clock.cancel()
            over.cancel()
        if self.trouble is not None:
            raise RunError(self.trouble)
        seconds = time.monotonic() - self.began
        busy = (time.process_time() - used_s) / seconds
        return self._result(started_at, seconds, busy, partial=stop.is_set())

    async def _until_over(self, stop: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.plan.for_s):
                await stop.wait()
        self._over.set()

    async def _calls(self) -> None:
        """All calls, from the first to the end of the last; bounded."""
        calls: set[asyncio.Task[None]] = set()
        try:
            await self._place_all(calls)
            await self._over.wait()
            # That all calls end in one moment is our doing, and measures nothing.
            self.lateness = self.around.twilio.lateness()
            self.around.twilio.hang_up_all(RUN_OVER)
            if calls:
                await asyncio.wait(calls, timeout=ENDED_WITHIN_S)
        finally:
            for task in calls:
                task.cancel()
            if calls:
                await asyncio.wait(calls)
        for task in calls:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _place_all(self, calls: set[asyncio.Task[None]]) -> None:
        plan = self.plan
        rng = random.Random(f"{plan.seed}:arrivals")
        stays = keeps_places(plan.arrival)
        for at_s in begins(plan.arrival, plan.calls, plan.rate_per_s, plan.for_s, rng):
            await self._sleep(self.began + at_s - time.monotonic())
            if self._over.is_set():
                return
            if not stays and self.up >= plan.calls:
                self.meter.counts["not_placed"] += 1
                continue
            task = asyncio.create_task(self._place() if stays else self._one_call())
            calls.add(task)
            if not stays:  # a place stays until the end, a single call may go
                task.add_done_callback(lambda done: _drop(calls, done))

    async def _place(self) -> None:
        """One call after the other, as long as the run lasts."""
        while not self._over.is_set() and self.placed < self.plan.most_calls:
            await self._one_call()

    async def _sleep(self, seconds: float) -> None:
        """Or until the run is over."""
        if seconds <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    # --- one call -------------------------------------------------------------------------------

    async def _one_call(self) -> None:
        if self.placed >= self.plan.most_calls:
            return
        caller = self.callers.next()
        track = self.tracker.call(caller.known)
        log = CallLog(self.meter, track, caller.awaits_greeting)
        number = self.placed
        self.placed += 1
        self._up.add(number)
        try:
            result = await self._call(caller, track, log)
        finally:
            self._up.discard(number)
            self.tracker.forget(track)
        judge_call(self.meter, track, log, result, caller.scenario.expect)
        track.let_go()
        failed = self._note_at_once(result, log)
        if failed:
            await self._sleep(PAUSE_AFTER_FAILURE_S)

    async def _call(self, caller: Caller, track: CallTrack, log: CallLog) -> CallResult:
        script = caller.scenario.script
        if self.around.target.way == "media":
            twiml = self.plan.compat.twiml(self.around.target.url)
            script = replace(script, twiml=twiml)
        fittings = Fittings(self._carrier(caller, track), Ear(track, self.tracker))
        return await self.around.twilio.place_call(script, log, fittings=fittings)

    def _carrier(self, caller: Caller, track: CallTrack) -> MarkingCarrier | FaultyCarrier:
        carrier = MarkingCarrier(track, marks=self.tracker.follows_model)
        line = caller.scenario.line
        if not line.faulty:
            return carrier
        return FaultyCarrier(carrier, line, random.Random(self.lines.random()))

    def _note_at_once(self, result: CallResult, log: CallLog) -> bool:
        """Whether it failed before it began. Where the first ones all do, the run is ended.

        One place that is refused again and again is not the first ones: whoever was placed
        meanwhile and is still up has found a bridge that works.
        """
        why = None if log.heard_anything else _ended_at_once(result)
        if why is None:
            return False
        self._at_once.append(why)
        ended = len(self._at_once)
        if self.meter.counts["calls"] != ended or ended < min(FIRST_CALLS, self.plan.calls):
            return True
        if self._first is None:
            self._first = self.placed
        if min(self._up, default=self.placed) >= self._first:
            self.trouble = f"the first {ended} calls all ended at once: {self._at_once[0]}"
            self._over.set()
        return True

    # --- the clock ------------------------------------------------------------------------------

    async def _clock(self) -> None:
        step = 0
        while True:
            step += 1
            await asyncio.sleep(self.began + step * self.plan.step_s - time.monotonic())
            self._step()

    def _step(self) -> None:
        at_s = time.monotonic() - self.began
        if self.watch is not None:
            self.watch.read(at_s)
        self.on_progress(self.meter.step(at_s, self.up))

    # --- what came of it ------------------------------------------------------------------------

    def _result(
        self, started_at: datetime, seconds: float, busy: float, *, partial: bool
    ) -> Result:
        self._step()
        self.meter.counts["lost_frames"] += self.tracker.unheard_frames(UNDER_WAY_S)
        lateness = self.lateness
        figures = self.meter.figures()
        late = _late(lateness.histogram)
        if late.count:
            figures["generator_late"] = Figure.of(late)
        measured = self.plan.measurable - self._not_followed()
        if not self.placed:
            measured = frozenset()
            self.meter.note(NO_CALL)
        counts = self.meter.counts
        invalid = self._invalid(lateness.skipped_frames, late)
        result = Result(
            version=_version(),
            kind="run",
            started_at=started_at.isoformat(),
            seconds=round(seconds, 3),
            partial=partial,
            valid=not invalid,
            invalid_because=invalid,
            notes=(*self.plan.callers.notes, *self.meter.notes),
            plan=self.plan.to_json(),
            machine=_machine(late, busy),
            figures={name: one for name, one in figures.items() if name in measured},
            counts={name: counts[name] for name in COUNTS if name in measured},
            outcomes=dict(self.meter.outcomes.most_common()),
            errors=dict(self.meter.errors.most_common()),
            series=self.meter.series(),
            turns=self.meter.turns(),
            process=None if self.watch is None else self.watch.result(counts["frames"]),
        )
        return result.model_copy(update={"gates": gating.judge_all(self.plan.gates, result)})

    def _not_followed(self) -> frozenset[str]:
        """What changed on its way, or never came, so that it could not be counted; says why."""
        realtime, following = self.around.realtime, self.meter.following
        if realtime is None or not self.meter.counts["frames"]:
            return frozenset()
        if not self.tracker.sessions_seen:
            self.meter.note(
                f"no session reached the simulated model: does the bridge have "
                f"REALTIME_URL={realtime.url}?"
            )
            return TO_MODEL | TO_CALLER
        reasons = ((following.why_no_uplink, TO_MODEL), (following.why_no_answers, TO_CALLER))
        for why, _ in reasons:
            if why is not None:
                self.meter.note(why)
        missing = frozenset().union(*(names for why, names in reasons if why is not None))
        return missing if following.calls else TO_MODEL | TO_CALLER

    def _invalid(self, skipped: int, late: Latency) -> tuple[str, ...]:
        found = []
        if skipped:
            found.append(f"the generator left out {skipped} frames, being a second behind")
        limit_ms = self.plan.late_p99_ms or LATE_P99_LIMIT_MS
        if late.count and late.percentile_ms(99) > limit_ms:
            found.append(
                f"the generator was late: p99 {late.percentile_ms(99):.1f} ms, "
                f"allowed are {limit_ms:g} ms; use fewer calls or more generators"
            )
        return tuple(found)


async def _settle(seconds: float, stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _drop(calls: set[asyncio.Task[None]], done: asyncio.Task[None]) -> None:
    """A call that raised stays, so that its error is seen."""
    if not done.cancelled() and done.exception() is None:
        calls.discard(done)


def _ended_at_once(result: CallResult) -> str | None:
    """How a call that had hardly begun was ended by the other side."""
    outcome = result.outcomes[-1]
    if isinstance(outcome, DocumentError):
        return f"{outcome.code}: {outcome.message}"
    for stream in result.streams:
        lasted_s = (stream.ended or 0.0) - (stream.started or stream.ended or 0.0)
        if stream.end is StreamEnd.REFUSED:
            texts = [n.message for n in result.notices if n.subject == stream.stream_sid]
            return f"the media stream was refused: {(texts or ['no reason given'])[0]}"
        if lasted_s < AT_ONCE_S and stream.end in (StreamEnd.CLOSED_BY_SERVER, StreamEnd.LOST):
            how = f"with {stream.close_code} {stream.close_reason}".strip()
            return f"the bridge closed the media stream after {lasted_s * 1000:.0f} ms {how}"
    return None


def _late(histogram: tuple[int, ...]) -> Latency:
    """Tenths of a millisecond, each at its upper end."""
    late = Latency()
    for tenths, count in enumerate(histogram):
        if count:
            late.record((tenths + 1) / 10, count)
    return late


def _machine(late: Latency, busy: float) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": cores(),
        "generator_late_p99_ms": late.percentile_ms(99) if late.count else None,
        "generator_cpu_share": round(busy, 4),
    }


def _version() -> str:
    try:
        return version("triage-bridge")
    except PackageNotFoundError:
        return "0"
