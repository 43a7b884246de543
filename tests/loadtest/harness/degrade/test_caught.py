"""A bridge made bad on purpose is caught by the gates, each fault by its own figure."""

from __future__ import annotations

import pytest

from loadtest.harness.callers import read_callers
from loadtest.harness.degrade import parse_degradation
from loadtest.harness.engine import run
from loadtest.harness.gates import parse_all
from loadtest.harness.plan import OwnBridge, RunPlan
from loadtest.harness.result import Result
from loadtest.scenarios import LineConditions

GATES = (
    # Medians, so that a busy machine is no fault of the bridge's.
    "uplink.p50=40ms",
    "downlink.p50=40ms",
    "lost_frames=0",
    "unmarked_answers=0",
    "calls_failed=0",
)

CAUGHT = {
    "nothing": ([], []),
    "delay": (["delay=50ms"], ["uplink.p50", "downlink.p50"]),
    "loss": (["drop.uplink=1/100"], ["lost_frames"]),
    "marks": (["forget-marks"], ["unmarked_answers"]),
    "all at once": (
        ["delay.uplink=50ms", "drop=1/100", "forget-marks"],
        ["uplink.p50", "lost_frames", "unmarked_answers"],
    ),
}


@pytest.mark.parametrize(("asked", "figures"), CAUGHT.values(), ids=CAUGHT.keys())
async def test_each_fault_is_caught_by_its_own_figure(asked: list[str], figures: list[str]) -> None:
    plan = RunPlan(
        callers=read_callers(["faq"], [], None, LineConditions()),
        own_bridge=OwnBridge("media"),
        calls=3,
        for_s=11,
        profile="fast",
        degradation=parse_degradation(asked),
        gates=parse_all(GATES),
    )
    result = await run(plan)
    assert failed(result) == figures, result.counts
    assert result.counts["turns"] > 0
    assert result.plan.get("degrade", {}) == parse_degradation(asked).to_json()


def failed(result: Result) -> list[str]:
    return [gate.figure for gate in result.gates if not gate.passed]
