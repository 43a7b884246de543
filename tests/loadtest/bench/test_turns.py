from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench.turns import MS, Step, TurnCycle, TurnPlan


def told(cycle: TurnCycle, steps: int) -> list[tuple[int, Step]]:
    """The next steps, each with its due time in ms."""
    return [(cycle.due_ns // MS, cycle.advance()) for _ in range(steps)]


def test_an_answer_is_heard_to_its_end_unless_it_is_barged_into() -> None:
    plan = TurnPlan(deltas=2, barge_every=2, barge_after_ms=300)
    assert told(TurnCycle(plan, 0), 13) == [
        (0, Step.SPEECH_STARTED),
        (1_400, Step.SPEECH_STOPPED),
        (1_600, Step.ANSWER_STARTED),
        (1_600, Step.DELTA),
        (1_640, Step.DELTA),
        (1_640, Step.ANSWER_DONE),
        (3_000, Step.SPEECH_STARTED),  # 400 ms of audio and a second of silence later
        (4_400, Step.SPEECH_STOPPED),
        (4_600, Step.ANSWER_STARTED),
        (4_600, Step.DELTA),
        (4_640, Step.DELTA),
        (4_640, Step.ANSWER_DONE),
        (4_900, Step.BARGE_IN),
    ]


@pytest.mark.parametrize("barge_every", [0, 1, 3])
def test_the_mean_length_of_a_turn_is_the_cycle_of_the_plan(barge_every: int) -> None:
    plan = TurnPlan(barge_every=barge_every)
    cycle = TurnCycle(plan, 0)
    turns = 3
    speech = [Step.SPEECH_STARTED, Step.BARGE_IN]
    starts = [at_ms for at_ms, step in told(cycle, 24 * turns + 1) if step in speech]
    assert starts[turns] == pytest.approx(turns * plan.cycle_ms)


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 3))
def test_skipping_in_never_starts_inside_an_answer_or_with_a_barge_in(
    share: float, barge_every: int
) -> None:
    plan = TurnPlan(deltas=3, barge_every=barge_every)
    cycle = TurnCycle(plan, 0)
    cycle.skip(share)
    assert 0 <= cycle.due_ns <= plan.cycle_ms * 2 * MS
    assert cycle.advance() in (Step.SPEECH_STARTED, Step.SPEECH_STOPPED, Step.ANSWER_STARTED)
