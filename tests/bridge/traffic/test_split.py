"""The keyed hash: sticky, monotone, exact over any full thousand of numbers."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.traffic.split import POSITIONS, Splitter

CALLED = "+14155550100"
SHARES = (1, 50, 125, 250, 500, 600, 999)
keys = st.binary(min_size=1, max_size=64)
numbers = st.integers(1_000_000, 999_999_999_999_999).map(lambda number: f"+{number}")


@given(keys, numbers)
def test_the_same_caller_is_always_in_the_same_place(key: bytes, number: str) -> None:
    position = Splitter(key).position("acme", CALLED, number)
    assert 0 <= position < POSITIONS
    assert Splitter(key).position("acme", CALLED, number) == position


@given(keys, st.integers(1000, 999_999_999_999))
@settings(max_examples=30, deadline=None)
def test_any_full_thousand_of_numbers_is_split_exactly_at_every_share(
    key: bytes, prefix: int
) -> None:
    splitter = Splitter(key)
    positions = [splitter.position("acme", CALLED, f"+{prefix}{tail:03}") for tail in range(1000)]
    assert sorted(positions) == list(range(POSITIONS))


@given(keys, st.integers(2_000_000_000, 9_999_000_000), st.sampled_from(SHARES))
@settings(max_examples=25, deadline=None)
def test_ten_thousand_numbers_in_a_row_land_within_half_a_point(
    key: bytes, first: int, share: int
) -> None:
    splitter = Splitter(key)
    taken = sum(
        splitter.position("acme", CALLED, f"+1{first + index}") < share for index in range(10_000)
    )
    assert abs(taken / 10_000 - share / 1000) <= 0.005


def test_calls_without_a_number_are_spread_over_the_whole_range() -> None:
    """Five standard deviations of what chance would give, of a fixed set of calls."""
    splitter = Splitter(b"key")
    sids = [f"CA{uuid.UUID(int=index * 7919).hex}" for index in range(10_000)]
    positions = [splitter.stranger("acme", CALLED, sid) for sid in sids]
    for share in SHARES:
        part = share / 1000
        tolerance = 5 * (part * (1 - part) / 10_000) ** 0.5
        assert abs(sum(position < share for position in positions) / 10_000 - part) <= tolerance


@pytest.mark.parametrize("other", ["key", "tenant", "called"])
def test_another_key_tenant_or_called_number_is_another_split(other: str) -> None:
    """Two independent splits agree on about one position in a thousand."""
    splitter, tenant, called = Splitter(b"key"), "acme", CALLED
    one = [splitter.position(tenant, called, f"+1415555{tail:04}") for tail in range(2000)]
    match other:
        case "key":
            splitter = Splitter(b"other")
        case "tenant":
            tenant = "other"
        case _:
            called = "+14155550101"
    two = [splitter.position(tenant, called, f"+1415555{tail:04}") for tail in range(2000)]
    assert sum(left == right for left, right in zip(one, two, strict=True)) < 20


def test_neighbours_are_not_taken_together() -> None:
    """Of runs of ten consecutive numbers at a share of 10 %, most hold no more than two."""
    splitter = Splitter(b"key")
    taken = [
        splitter.position("acme", CALLED, f"+1415555{tail:04}") < 100 for tail in range(10_000)
    ]
    runs = [sum(taken[start : start + 10]) for start in range(0, 10_000, 10)]
    assert max(runs) < 8
    assert sum(run <= 2 for run in runs) > 800
