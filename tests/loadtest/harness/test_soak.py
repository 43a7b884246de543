"""What a soak says of a run's series: growth at full load is told, all else is not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from loadtest.harness.figures import Latency
from loadtest.harness.result import (
    Figure,
    Process,
    ProcessReading,
    Result,
    Second,
    SecondFigure,
)
from loadtest.harness.soak import SoakLimits, judge_soak, not_watched, window

HOUR_S = 7200
STEP_S = 30
RAMP_S = 600

Course = Callable[[float], float]


def flat(value: float) -> Course:
    return lambda at_s: value


MEMORY, FILES, LATENCY = flat(80_000), flat(200), flat(900)


def up(at_s: float) -> int:
    """Calls: a ramp of ten minutes, full load, and an end of ten minutes."""
    if at_s < RAMP_S:
        return round(100 * at_s / RAMP_S)
    return 100 if at_s < HOUR_S - RAMP_S else round(100 * (HOUR_S - at_s) / RAMP_S)


def run(
    memory: Course = MEMORY,
    files: Course = FILES,
    latency: Course = LATENCY,
    *,
    watched: bool = True,
) -> Result:
    rng = random.Random(7)
    moments = range(0, HOUR_S + 1, STEP_S)
    readings = tuple(
        ProcessReading(
            at_s=at,
            cpu_share=0.5,
            # With the calls, as real memory does, and with noise.
            rss_kib=round(memory(at) + 100 * up(at) + rng.gauss(0, 300)),
            files=round(files(at) + 2 * up(at)),
            threads=9,
        )
        for at in moments
    )
    series = tuple(
        Second(
            at_s=at,
            calls_up=up(at),
            turns=10,
            errors=0,
            ended=1,
            figures={"first_audio_out": second(latency(at) + rng.gauss(0, 20))},
        )
        for at in moments
    )
    figure = Figure.of(Latency.of([900.0]))
    return Result(
        version="0.1.0",
        kind="run",
        started_at="2026-01-01T00:00:00+00:00",
        seconds=float(HOUR_S),
        partial=False,
        valid=True,
        plan={"calls": 100},
        machine={},
        figures={"first_audio_out": figure},
        counts={"calls": 240},
        outcomes={},
        errors={},
        series=series,
        process=Process(pid=1, cpu_us_per_frame=20.0, series=readings) if watched else None,
    )


def second(p50: float) -> SecondFigure:
    return SecondFigure(count=10, p50=p50, p95=p50 + 300, max=p50 + 500)


def failed(result: Result) -> list[str]:
    return [gate.figure for gate in result.gates if not gate.passed]


def test_a_run_that_stays_the_same_passes_though_its_ramp_grows() -> None:
    judged = judge_soak(run(), SoakLimits())
    assert judged.kind == "soak"
    assert [gate.figure for gate in judged.gates] == [
        "soak.memory_kib",
        "soak.files",
        "soak.threads",
        "soak.first_audio_out.p50",
    ]
    assert failed(judged) == []


GROWS = {
    "memory": (run(memory=lambda at: 80_000 + at * 3), "soak.memory_kib"),
    "descriptors": (run(files=lambda at: 200 + at // 300), "soak.files"),
    "drift": (run(latency=lambda at: 900 + at / 60), "soak.first_audio_out.p50"),
}


@pytest.mark.parametrize(("grown", "figure"), GROWS.values(), ids=GROWS.keys())
def test_each_growth_fails_by_its_own_figure(grown: Result, figure: str) -> None:
    judged = judge_soak(grown, SoakLimits())
    assert failed(judged) == [figure]
    (gate,) = [gate for gate in judged.gates if not gate.passed]
    assert gate.value is not None
    assert gate.value > gate.limit
    assert "confidence" in gate.why


def test_growth_within_its_limit_passes() -> None:
    limits = SoakLimits(memory_kib=20_000, drift_ms=100)
    grown = run(memory=lambda at: 80_000 + at * 3, latency=lambda at: 900 + at / 60)
    assert failed(judge_soak(grown, limits)) == []


def test_tasks_are_judged_where_the_bridge_tells_them() -> None:
    growing = [(float(at), at / 60) for at in range(0, HOUR_S, STEP_S)]
    judged = judge_soak(run(), SoakLimits(), tasks=growing)
    assert failed(judged) == ["soak.tasks"]
    assert not_watched(run(), growing) == ()


def test_what_is_not_watched_is_said() -> None:
    assert not_watched(run(watched=False)) == (
        "memory_kib: needs --pid, the bridge's process on this machine",
        "files: needs --pid, the bridge's process on this machine",
        "threads: needs --pid, the bridge's process on this machine",
        "tasks: the bridge does not tell how many tasks it has",
    )


def test_a_run_that_is_too_short_has_not_passed() -> None:
    whole = run()
    assert whole.process is not None
    few = whole.process.model_copy(update={"series": whole.process.series[100:105]})
    judged = judge_soak(whole.model_copy(update={"process": few}), SoakLimits())
    assert failed(judged) == ["soak.memory_kib", "soak.files", "soak.threads"]
    assert "5 readings, expected at least 10" in judged.gates[0].why


def test_the_window_is_full_load_without_its_warm_up() -> None:
    begin_s, end_s = window(run(), 0.1)
    full_from, full_to = 540, HOUR_S - 540
    assert (begin_s, end_s) == (full_from + (full_to - full_from) * 0.1, full_to)


def test_a_warm_up_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="warm_up_share is 1, expected 0 to under"):
        SoakLimits(warm_up_share=1)
