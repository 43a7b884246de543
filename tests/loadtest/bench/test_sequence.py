from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench.sequence import MISSING_LIMIT, Faults, Sequence


def arrive(sequence: Sequence, *numbers: int) -> Sequence:
    for number in numbers:
        if number == sequence.next:
            sequence.next += 1
        else:
            sequence.irregular(number)
    return sequence


@pytest.mark.parametrize(
    ("numbers", "faults"),
    [
        pytest.param((0, 1, 2, 3), Faults(), id="all in order"),
        pytest.param((0, 2, 3), Faults(lost=1), id="one lost"),
        pytest.param((0, 1, 2), Faults(lost=1), id="the last never came"),
        pytest.param((), Faults(lost=4), id="nothing came"),
        pytest.param((0, 1, 1, 2, 3), Faults(duplicated=1), id="one twice"),
        pytest.param((0, 2, 1, 3), Faults(reordered=1), id="two swapped"),
        pytest.param((0, 2, 1, 1, 3), Faults(duplicated=1, reordered=1), id="late, and twice"),
    ],
)
def test_every_kind_of_fault_is_counted_once(numbers: tuple[int, ...], faults: Faults) -> None:
    assert arrive(Sequence(), *numbers).faults(ceiling=4) == faults


@given(st.permutations(range(12)))
def test_no_order_of_arrival_loses_or_repeats_anything(numbers: list[int]) -> None:
    faults = arrive(Sequence(), *numbers).faults(ceiling=12)
    assert (faults.lost, faults.duplicated) == (0, 0)
    assert (faults.reordered == 0) == (numbers == sorted(numbers))


@given(st.lists(st.integers(0, 20), max_size=40))
def test_what_never_arrived_is_lost_and_what_came_again_is_a_duplicate(numbers: list[int]) -> None:
    faults = arrive(Sequence(), *numbers).faults(ceiling=21)
    assert faults.lost == 21 - len(set(numbers))
    assert faults.duplicated == len(numbers) - len(set(numbers))


def test_only_the_open_window_is_judged() -> None:
    sequence = arrive(Sequence(), 0, 3)  # 1 and 2 are lost before the window
    sequence.open(floor=6)  # 4 and 5 are still on their way
    arrive(sequence, 4, 5, 6, 8, 10, 12)
    assert sequence.faults(ceiling=10) == Faults(lost=2)


def test_a_gap_too_long_to_list_is_still_counted_whole() -> None:
    far = MISSING_LIMIT * 3
    assert arrive(Sequence(), far).faults(ceiling=far + 1) == Faults(lost=far)
