"""The generator measures itself against a far end that does nothing."""

from __future__ import annotations

import os

import pytest

from loadtest.harness.callers import read_callers
from loadtest.harness.generator import GeneratorTrials, far_end, free_port
from loadtest.scenarios.line import PERFECT


@pytest.mark.parametrize("with_model", [False, True], ids=["callers alone", "with the model"])
async def test_calls_are_placed_and_this_generators_own_lateness_is_told(with_model: bool) -> None:
    cores = os.sched_getaffinity(0)
    port, model_port = free_port(), free_port()
    callers = read_callers(["silent"], [], None, PERFECT)
    trials = GeneratorTrials(callers, 1.0, with_model, model_port, port)
    async with far_end(port, model_port if with_model else None):
        trial = await trials.attempt(5)
    assert (trial.calls, trial.complaints) == (5, ())
    assert [name for name, _ in trial.figures] == [
        "generator_late.p50",
        "generator_late.p99",
        "generator_cpu_share",
        "cpu_us_per_frame",
    ]
    assert all(value > 0 for _, value in trial.figures)
    assert os.sched_getaffinity(0) == cores
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
