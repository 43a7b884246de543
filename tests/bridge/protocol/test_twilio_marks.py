"""Names of marks: short, and read back to what made them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.protocol.twilio_stream import MarkKind, MarkRef, mark_name, parse_mark

numbers = st.integers(min_value=0, max_value=10**10 - 1)
kinds: st.SearchStrategy[MarkKind] = st.sampled_from(("audio", "terminal"))


def test_a_name_says_kind_epoch_position_and_item() -> None:
    assert mark_name(3, "item_CeB6", 1200) == "a3.1200.item_CeB6"
    assert mark_name(3, "item_CeB6", 1200, "terminal") == "t3.1200.item_CeB6"


@given(numbers, st.text(), numbers, kinds)
def test_a_name_of_ours_reads_back(epoch: int, item: str, heard_ms: int, kind: MarkKind) -> None:
    name = mark_name(epoch, item, heard_ms, kind)
    assert parse_mark(name) == MarkRef(epoch, item, heard_ms, kind)


@given(st.text("at0123456789.x", max_size=12) | st.text())
def test_a_foreign_name_is_none_and_no_two_names_mean_the_same(name: str) -> None:
    ref = parse_mark(name)
    assert ref is None or mark_name(ref.epoch, ref.item_id, ref.heard_ms, ref.kind) == name


@pytest.mark.parametrize(
    "name", ["", "responsePart", "a1.2", "a01.2.item", "x1.2.item", "a-1.2.item", "a1.2.3"[:4]]
)
def test_names_of_others_are_not_ours(name: str) -> None:
    assert parse_mark(name) is None


@pytest.mark.parametrize(
    ("epoch", "heard_ms", "error"),
    [
        (-1, 0, "epoch is -1, expected 0 to 9999999999"),
        (0, -20, "heard_ms is -20, expected 0 to 9999999999"),
        (10**10, 0, "epoch is 10000000000, expected 0 to 9999999999"),
    ],
)
def test_numbers_out_of_range_are_refused(epoch: int, heard_ms: int, error: str) -> None:
    with pytest.raises(ValueError, match=f"^{error}$"):
        mark_name(epoch, "item_1", heard_ms)
