"""Trials of any bridge: each is a run, judged at full load; one that the bridge dies of counts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from time import monotonic

from loadtest.harness import gates as gating
from loadtest.harness.engine import RunError, run
from loadtest.harness.figures import Latency
from loadtest.harness.meter import Now
from loadtest.harness.plan import RunPlan
from loadtest.harness.processes import ProcessError
from loadtest.harness.result import Figure, Judged, Result, Second
from loadtest.harness.search import SearchPlan, Trial
from loadtest.harness.target import TargetError

FULL_SHARE = 0.99
"""Of the calls: a place whose call has just failed waits a moment, and of many some always do."""
LEAST_AT_FULL = 0.5
"""Share of a trial's seconds in which all calls have to be up."""
LOOK_EVERY_S = 1.0


class SearchesOverError(Exception):
    """No more can be tried; the message says why."""


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """Any bridge, by runs: ``run`` says how, its gates what has to be kept.

    A trial lasts as long as its ramp, and ``window_s`` more. A bridge that has carried calls and is
    gone is waited for up to ``back_within_s``.
    """

    run: RunPlan
    search: SearchPlan
    runs: int = 3
    window_s: float = 30.0
    back_within_s: float = 60.0


class TargetTrials:
    """The runs of all searches. ``tried``: those of the search under way, by their calls."""

    def __init__(self, plan: TargetPlan) -> None:
        self._plan = plan
        self._run = plan.run
        self._carried_some = False
        self.tried: dict[int, Trial] = {}

    async def attempt(self, calls: int) -> Trial:
        """Raises what ``run`` raises as long as nothing was carried: there is a fault to mend.

        Afterwards a run that the bridge breaks has failed; SearchesOverError where it stays away,
        or where this machine cannot make a run.
        """
        if not self._carried_some:
            trial = await self._trial(calls)
        else:
            await self._back()
            try:
                trial = await self._trial(calls)
            except (RunError, TargetError) as error:
                trial = Trial(calls, (str(error),))
            except OSError as error:
                raise SearchesOverError(f"no further run could be made: {error}") from error
        self.tried[calls] = trial
        self._carried_some = self._carried_some or trial.passed
        return trial

    async def _trial(self, calls: int) -> Trial:
        step_s = self._run.step_s  # the moment when all calls are up is seen at a step's end
        for_s = calls / self._run.rate_per_s + self._plan.window_s + step_s
        full = FullLoad(calls)
        try:
            result = await run(replace(self._run, calls=calls, for_s=for_s), full)
        except ProcessError:
            if not self._carried_some:
                raise
            self._run = replace(self._run, pid=None)  # started anew, it is another process
            return await self._trial(calls)
        return trial_of(calls, result, full.began)

    async def _back(self) -> None:
        """Until somebody takes connections."""
        deadline = monotonic() + self._plan.back_within_s
        while (why := await self._absent()) is not None:
            if monotonic() >= deadline:
                within = f"within {self._plan.back_within_s:g} s"
                raise SearchesOverError(f"the bridge did not come back {within}: {why}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _absent(self) -> str | None:
        target = self._run.target
        try:
            if target is not None:
                await target.check_there(self._run.compat.reached_at(target.url))
        except TargetError as error:
            return str(error)
        return None


class FullLoad:
    """Watches a run for the moment when its calls are up."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self.began: Now | None = None

    def __call__(self, now: Now) -> None:
        if self.began is None and now.calls_up >= nearly(self._calls):
            self.began = now


def nearly(calls: int) -> float:
    return calls * FULL_SHARE


def trial_of(calls: int, result: Result, began: Now | None) -> Trial:
    """A run as a trial: its gates at full load, which ``began`` then, and whether it got there."""
    if began is None:
        most = max((second.calls_up for second in result.series), default=0)
        judged, complaints = result, [f"of {calls} calls at most {most} were up at once"]
    else:
        judged = at_full_load(result, began)
        complaints = _fallen(calls, _after(result, began))
    failed = [gate for gate in judged.gates if not gate.passed]
    values = [(gate.figure, gate.value) for gate in judged.gates]
    used = [one.cpu_share for one in result.process.series] if result.process else []
    return Trial(
        calls=calls,
        complaints=(*complaints, *(f"{gate.gate}: {_shown(gate)}" for gate in failed)),
        generator_late=not result.valid,
        figures=tuple((name, value) for name, value in values if value is not None),
        cpu_share=max(used, default=0.0),
    )


def at_full_load(result: Result, began: Now) -> Result:
    """The same run without its ramp, and its gates judged anew.

    Latencies are those of the seconds after ``began``; one that came in none of them, as the
    greetings of calls that last, stays as the whole run has it. Counts are of calls that ended
    afterwards.
    """
    latencies: dict[str, Latency] = {}
    for second in _after(result, began):
        for name, figure in second.figures.items():
            if figure.hdr is not None:
                latencies.setdefault(name, Latency()).add(Latency.decode(figure.hdr))
    changed = {name: Figure.of(one) for name, one in latencies.items() if name in result.figures}
    counts = {name: count - began.counts.get(name, 0) for name, count in result.counts.items()}
    whole = result.model_copy(update={"figures": {**result.figures, **changed}, "counts": counts})
    gates = gating.parse_all(gate.gate for gate in result.gates)
    return whole.model_copy(update={"gates": gating.judge_all(gates, whole)})


def _after(result: Result, began: Now) -> list[Second]:
    """The series has its moments rounded."""
    return [second for second in result.series if second.at_s > round(began.at_s, 3)]


def _fallen(calls: int, seconds: list[Second]) -> list[str]:
    """The last step comes after the run has hung up."""
    full = sum(second.calls_up >= nearly(calls) for second in seconds[:-1])
    if full >= LEAST_AT_FULL * len(seconds[:-1]):
        return []
    return [f"{calls} calls were up in {full} of {len(seconds) - 1} seconds only"]


def _shown(gate: Judged) -> str:
    return "not measured" if gate.value is None else f"{gate.value:g}{gate.unit}"
