from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from loadtest.bench.bench import BenchPlan
from loadtest.bench.figures import Level, Run, cpu_at_equal_calls, medians, ratio_of
from loadtest.bench.gauges import RigLevel, Spread
from loadtest.bench.report import Conditions, table, write_json
from loadtest.bench.sequence import Faults
from loadtest.bench.stillness import Absence
from loadtest.bench.system import Seats

FINE = Spread.of([1_000_000, 2_000_000, 3_000_000])
SEEN = RigLevel(
    calls=100,
    window_s=6.0,
    frames=30_000,
    uplink=FINE,
    first_audio=FINE,
    delta=FINE,
    barge_in=FINE,
    late=Spread.of([0, 1_000_000]),
    uplink_faults=Faults(),
    downlink_faults=Faults(),
    earlier_faults=Faults(),
    unreadable=0,
    crossed=0,
    refusals=0,
    clears_missed=0,
    clears_elsewhere=0,
    not_talking=0,
    ended_early=0,
)
LEVEL = Level(SEEN, cpu_share=0.2, rig_share=0.3, cpu_us_per_frame=40.0, rss_kib=46_080)
BAD = replace(LEVEL, seen=replace(SEEN, calls=400, uplink_faults=Faults(lost=3)), cpu_share=0.95)
LATE = Spread.of([9_000_000])


def test_a_spread_is_in_milliseconds() -> None:
    assert Spread(3, 2.0, 2.9, 2.98, 3.0) == FINE
    assert Spread.of([]) == Spread(0, None, None, None, None)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, ()),
        ({"uplink": Spread.of([20_000_000])}, ("p99 too late (1)",)),
        ({"uplink": Spread.of([])}, ("no frames (1)",)),
        ({"uplink_faults": Faults(1, 1, 1)}, ("uplink faults (3)",)),
        ({"downlink_faults": Faults(lost=1)}, ("downlink faults (1)",)),
        ({"crossed": 2, "ended_early": 1}, ("audio crossed (2)", "calls ended early (1)")),
        ({"not_talking": 4}, ("calls not talking (4)",)),
        ({"clears_missed": 1}, ("clears missed (1)",)),
        ({"refusals": 1}, ("configuration refused (1)",)),
        ({"unreadable": 1}, ("unreadable (1)",)),
    ],
    ids=str,
)
def test_a_level_passes_only_if_there_is_nothing_to_complain_of(
    change: dict[str, object], complaint: tuple[str, ...]
) -> None:
    level = replace(LEVEL, seen=replace(SEEN, **change))  # type: ignore[arg-type]
    assert level.complaints == complaint
    assert level.tried.passed == (not complaint)


def test_the_figures_of_a_run_are_those_of_its_best_level() -> None:
    assert Run("bridge", 40_960, (LEVEL, BAD)).figures() == {
        "calls_at_90_percent_cpu": 380.0,
        "max_calls": 100.0,
        "cpu_us_per_frame": 40.0,
        "uplink_p50_ms": 2.0,
        "uplink_p99_ms": 2.98,
        "first_audio_p95_ms": 2.9,
        "barge_in_p95_ms": 2.9,
        "kib_per_call": 51.2,
        "idle_mib": 40.0,
    }


def test_a_run_without_a_level_that_passed_has_no_figures_of_a_best_one() -> None:
    figures = Run("bridge", 40_960, (BAD,)).figures()
    assert (figures["max_calls"], figures["cpu_us_per_frame"]) == (0.0, None)


def test_a_search_that_ended_with_the_rig_late_says_so() -> None:
    late = replace(BAD, seen=replace(BAD.seen, late=LATE))
    assert not Run("bridge", 0, (LEVEL, BAD)).limited_by_rig
    assert Run("bridge", 0, (LEVEL, late)).limited_by_rig
    assert not Run("bridge", 0, (LEVEL,)).limited_by_rig


def test_medians_leave_out_what_was_not_measured() -> None:
    rows: list[dict[str, float | None]] = [
        {"a": 1, "b": None},
        {"a": 5, "b": None},
        {"a": 2, "b": None},
    ]
    assert medians(rows) == {"a": 2.0, "b": None}


def test_ratios_are_of_neighbouring_runs() -> None:
    def run(system: str, us: float) -> Run:
        return Run(system, 0, (replace(LEVEL, cpu_us_per_frame=us),))

    runs = [run("bridge", 20), run("websockets", 40), run("websockets", 100), run("bridge", 30)]
    assert ratio_of(runs, "bridge", "websockets", "cpu_us_per_frame") == 0.4
    assert ratio_of(runs, "bridge", "picows", "cpu_us_per_frame") is None


def test_cpu_is_compared_at_numbers_of_calls_that_every_system_had() -> None:
    runs = [Run("bridge", 0, (LEVEL, BAD)), Run("websockets", 0, (LEVEL,))]
    assert cpu_at_equal_calls(runs) == {100: {"bridge": 40.0, "websockets": 40.0}}


def test_the_table_has_a_column_for_each_system_and_one_for_their_ratio() -> None:
    runs = [Run("bridge", 40_960, (LEVEL,)), Run("websockets", 40_960, (LEVEL,))]
    assert [str(column.header) for column in table(runs).columns] == [
        "",
        "bridge",
        "websockets",
        "bridge / websockets",
    ]
    assert [str(column.header) for column in table(runs[:1]).columns] == ["", "bridge"]


def test_everything_measured_is_in_the_json(tmp_path: Path) -> None:
    path = tmp_path / "out" / "bench.json"
    conditions = Conditions.here(Seats(0, 1), realtime_priority=True, tls=False)
    plan = BenchPlan(("bridge",), environment={"SSL_CERT_FILE": "somewhere"})
    away = [Absence(0.004, 8.5), Absence(0.05, 27.7)]
    write_json(path, plan, conditions, [Run("bridge", 40_960, (LEVEL, BAD))], away)
    document = orjson.loads(path.read_bytes())
    assert document["medians"]["bridge"]["kib_per_call"] == 51.2
    assert document["plan"]["environment"] == ["SSL_CERT_FILE"]
    assert document["machine_away"] == [
        {"share": 0.004, "longest_ms": 8.5},
        {"share": 0.05, "longest_ms": 27.7},
    ]
    levels = document["runs"][0]["levels"]
    assert [level["passed"] for level in levels] == [True, False]
    assert levels[1]["seen"]["uplink_faults"] == {"lost": 3, "duplicated": 0, "reordered": 0}
