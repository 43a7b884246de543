"""Capacity of our own bridge, by the command as it is typed; gates that the light rig can judge."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtest.harness.capacity import CapacityReport, summary
from loadtest.harness.gates import GateError
from loadtest.harness.own_bridge import light_gates
from loadtest.harness.search import Search, Trial

PATIENT = ("--generator-late-ms", "10000")
"""Whether this machine has time to spare is not what is tested."""
BRIDGE = Path(__file__).parent / "leaking_bridge.py"
PROGRAM = ("-m", "bridge", "loadtest", "capacity")


def alone_in(folder: Path) -> dict[str, str]:
    """The lock that keeps two benches apart lies in the folder for temporary files."""
    return {**os.environ, "TMPDIR": str(folder)}


def capacity(
    out: Path, *arguments: str, patience: tuple[str, ...] = PATIENT
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, *PROGRAM, *arguments, *patience, "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=alone_in(out.parent),
    )
    return done, json.loads(out.read_text()) if out.exists() else {}


def test_the_limit_is_reported_as_a_floor_with_every_trial_behind_it(tmp_path: Path) -> None:
    bounds = ("--runs", "2", "--start", "10", "--limit", "20", "--window", "2")
    easy = ("--gate", "uplink.p99=10s", "--gate", "lost_frames=0")
    done, report = capacity(tmp_path / "capacity.json", *bounds, *easy)
    assert done.returncode == 0, done.stdout + done.stderr
    found = report["capacity"]
    assert (found["calls"], found["lower"], found["upper"], found["floor"]) == (20, 20, 20, True)
    assert found["confidence"] == 0.5
    assert [[trial["calls"] for trial in run["trials"]] for run in report["runs"]] == [[10, 20]] * 2
    assert "20 calls or more" in done.stdout
    assert report["plan"]["gates"] == ["uplink.p99=10s", "lost_frames=0"]


def test_a_gate_that_nothing_can_keep_leaves_nothing_carried(tmp_path: Path) -> None:
    bounds = ("--runs", "1", "--start", "8", "--limit", "8", "--window", "2", "--trials", "1")
    done, report = capacity(tmp_path / "capacity.json", *bounds, "--gate", "uplink.p50=0.001ms")
    assert done.returncode == 1, done.stdout + done.stderr
    assert report["capacity"]["calls"] == 0
    (trial,) = report["runs"][0]["trials"]
    assert trial["complaints"][0].startswith("uplink.p50=0.001ms: ")
    assert "not one of the numbers tried was carried" in done.stdout


def test_two_workers_carry_calls_together(tmp_path: Path) -> None:
    bounds = ("--runs", "1", "--start", "12", "--limit", "12", "--window", "2", "--workers", "2")
    done, report = capacity(tmp_path / "capacity.json", *bounds, "--gate", "uplink.p99=10s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["plan"]["workers"] == 2
    assert report["capacity"]["calls"] == 12


FAULTY = {
    "ear": ("first_audio_out.p95=800ms", "without --target or --voice the light rig measures"),
    "statistic": ("uplink.p999=800ms", "without --target or --voice the light rig measures"),
    "share": ("lost_frames.share=1%", "without --target or --voice the light rig measures"),
    "unknown": ("upling.p99=20ms", "there is no figure 'upling'"),
}


@pytest.mark.parametrize(("gate", "complaint"), FAULTY.values(), ids=FAULTY.keys())
def test_a_gate_that_the_light_rig_cannot_judge_is_refused(gate: str, complaint: str) -> None:
    with pytest.raises(GateError) as refused:
        light_gates([gate])
    assert complaint in str(refused.value)


def test_a_wrong_gate_ends_the_command_before_anything_is_started(tmp_path: Path) -> None:
    done, report = capacity(tmp_path / "capacity.json", "--gate", "greeting.p95=1s")
    assert (done.returncode, report) == (2, {})
    assert "the light rig measures uplink.p50" in done.stderr


def test_an_interrupted_search_says_that_there_is_no_capacity_yet() -> None:
    report = CapacityReport({}, (), "2026-01-01T00:00:00+00:00", 1.0, partial=True)
    assert report.to_json()["capacity"]["calls"] is None
    assert summary(report)[0] == "interrupted before the first search was done: no capacity"


def test_the_report_counts_what_every_run_carried() -> None:
    searches = tuple(
        Search((Trial(calls), Trial(calls + 5, ("lost frames",))), 1000)
        for calls in (620, 600, 640)
    )
    report = CapacityReport({}, searches, "2026-01-01T00:00:00+00:00", 1.0)
    found = report.to_json()["capacity"]
    assert (found["calls"], found["carried_by_every_run"], found["floor"]) == (620, 600, False)
    assert found["confidence"] == 0.75


def test_a_load_that_was_always_late_measured_nothing(tmp_path: Path) -> None:
    bounds = ("--runs", "1", "--start", "2", "--limit", "2", "--window", "2", "--trials", "1")
    strict = ("--generator-late-ms", "0.1")
    done, report = capacity(tmp_path / "capacity.json", *bounds, patience=strict)
    (trial,) = report["runs"][0]["trials"]
    assert trial["generator_late"], "nothing is on time to a tenth of a millisecond at p99"
    assert done.returncode == 3, done.stdout + done.stderr
    assert report["capacity"]["calls"] is None
    assert "nothing was measured" in done.stdout


def test_runs_with_a_late_load_only_are_left_out_and_told() -> None:
    late = Search((Trial(40, generator_late=True),), 1000)
    good = Search((Trial(30), Trial(35, ("lost frames",))), 1000)
    report = CapacityReport({}, (late, good), "2026-01-01T00:00:00+00:00", 1.0)
    assert report.to_json()["capacity"]["calls"] == 30
    assert summary(report)[1:] == ["1 of 2 runs had a late load only: left out"]


async def test_any_bridge_is_searched_by_runs_with_every_gate(tmp_path: Path) -> None:
    bridge = await asyncio.create_subprocess_exec(
        sys.executable, str(BRIDGE), "none", stdout=asyncio.subprocess.PIPE
    )
    assert bridge.stdout is not None
    try:
        port = int(await bridge.stdout.readline())
        target = ("--target", f"ws://127.0.0.1:{port}/media", "--realtime", "none")
        bounds = ("--runs", "1", "--start", "1", "--limit", "2", "--window", "5")
        gates = ("--gate", "greeting.p50=10s", "--gate", "calls_failed=0")
        done, report = await asyncio.to_thread(
            capacity,
            tmp_path / "capacity.json",
            *(*target, *bounds, *gates, "--scenario", "silent"),
        )
    finally:
        bridge.kill()
        await bridge.wait()
    assert report, done.stdout + done.stderr
    assert report["plan"]["target"] == target[1]
    trials = report["runs"][0]["trials"]
    assert [trial["calls"] for trial in trials if not trial["generator_late"]] in ([1, 2], [1], [])
    assert all(trial["complaints"] == [] for trial in trials)
    assert all({"greeting.p50", "calls_failed"} == trial["figures"].keys() for trial in trials)


def test_a_target_needs_a_gate(tmp_path: Path) -> None:
    done, _ = capacity(tmp_path / "capacity.json", "--target", "ws://127.0.0.1:1/media")
    assert done.returncode == 2
    assert "expected at least one --gate" in done.stderr


async def test_an_interrupted_search_still_writes_the_runs_it_has(tmp_path: Path) -> None:
    out = tmp_path / "capacity.json"
    bounds = ("--runs", "20", "--start", "10", "--limit", "10", "--window", "2")
    gates = ("--gate", "uplink.p99=10s", *PATIENT)
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, *PROGRAM, *bounds, *gates, "--out", str(out)),
        stdout=pipe,
        stderr=pipe,
        env=alone_in(tmp_path),
    )
    assert program.stdout is not None
    while not (await program.stdout.readline()).startswith(b"run 2"):
        pass
    program.send_signal(signal.SIGINT)
    told, _ = await program.communicate()
    assert program.returncode == 130
    report = json.loads(out.read_text())
    assert (report["partial"], report["capacity"]["calls"]) == (True, 10)
    assert b"interrupted: only finished runs are counted" in told
