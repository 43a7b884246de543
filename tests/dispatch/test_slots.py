"""Captured values: each as its kind, or words for the model."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dispatch.slots import (
    LONGEST,
    BadSlotError,
    EmptySlotError,
    Slot,
    SlotValue,
    read_slot,
    region_of,
)

TODAY = dt.date(2026, 8, 12)


def read(value: object, **slot: object) -> SlotValue:
    return read_slot(Slot.model_validate({"name": "it", **slot}), value, region="US", today=TODAY)


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("phone", "415 865 4838", "+14158654838"),
        ("phone", "(415) 865-4838", "+14158654838"),
        ("phone", "+44 20 7946 0958", "+442079460958"),
        ("phone", 4158654838, "+14158654838"),
        ("person_name", "  Dana\n Whitfield ", "Dana Whitfield"),
        ("person_name", "José Ñandú", "José Ñandú"),
        ("person_name", "李小龙", "李小龙"),
        ("date", "2026-08-18", "2026-08-18"),
        ("date", "2026-08-18T09:00:00Z", "2026-08-18"),
        ("number", "1,200.50", 1200.5),
        ("number", 3.0, 3),
        ("number", "-4", -4),
        ("text", "a\x00b\tc", "a b c"),
    ],
)
def test_a_value_is_read_as_its_kind(kind: str, said: object, expected: SlotValue) -> None:
    assert read(said, kind=kind) == expected


@pytest.mark.parametrize(
    ("slot", "said", "message"),
    [
        (
            {"kind": "phone"},
            "865 4838",
            "it is not a complete telephone number; ask for it again digit by digit",
        ),
        (
            {"kind": "phone"},
            "call the police",
            "it is not a complete telephone number; ask for it again digit by digit",
        ),
        ({"kind": "person_name"}, "12345", "it is not a name; ask how it is spelled"),
        ({"kind": "date"}, "next Tuesday", "it must be a date as YYYY-MM-DD; ask for the day"),
        ({"kind": "date"}, "2026-02-30", "it must be a date as YYYY-MM-DD; ask for the day"),
        ({"kind": "date"}, "0001-01-01", "it is an unlikely year; ask for the date again"),
        (
            {"kind": "date", "when": "future"},
            "2026-08-11",
            "it lies in the past (today is 2026-08-12); ask for a coming day",
        ),
        (
            {"kind": "date", "when": "past"},
            "2026-08-13",
            "it lies in the future (today is 2026-08-12); ask again",
        ),
        ({"kind": "number"}, "four", "it must be a number; ask for it in figures"),
        ({"kind": "number"}, "nan", "it must be a number; ask for it in figures"),
        ({"kind": "number"}, "1e400", "it must be a number; ask for it in figures"),
        ({"kind": "number", "min": 1}, 0, "it must be at least 1; ask again"),
        ({"kind": "number", "max": 9}, 10, "it must be at most 9; ask again"),
        (
            {"kind": "choice", "choices": ["morning", "afternoon"]},
            "night",
            "it must be one of: morning, afternoon; ask which",
        ),
        ({"kind": "text"}, {"a": 1}, "it must be a plain value, not dict"),
        ({"kind": "text"}, True, "it must be a plain value, not bool"),
    ],
)
def test_a_bad_value_tells_the_model_what_to_ask(
    slot: dict[str, Any], said: object, message: str
) -> None:
    with pytest.raises(BadSlotError) as caught:
        read(said, **slot)
    assert str(caught.value) == message


@pytest.mark.parametrize("said", [None, "", "  ", "unknown", "N/A", "Not provided", "null"])
def test_fillers_of_a_model_that_was_told_nothing_are_no_value(said: object) -> None:
    with pytest.raises(EmptySlotError):
        read(said, kind="text")


def test_a_choice_is_taken_in_any_case_and_may_be_called_unknown() -> None:
    slot = Slot(name="it", kind="choice", choices=("Morning", "unknown"))
    given = [read_slot(slot, said, region="US", today=TODAY) for said in ("MORNING", "Unknown")]
    assert given == ["Morning", "unknown"]


def test_leniently_a_possible_number_is_better_than_none() -> None:
    slot = Slot(name="it", kind="phone")
    with pytest.raises(BadSlotError):
        read_slot(slot, "415 155 0100", region="US", today=TODAY)
    assert read_slot(slot, "415 155 0100", region="US", today=TODAY, lenient=True) == "+14151550100"


@pytest.mark.parametrize(
    ("called", "region"),
    [("+14155550100", "US"), ("+442079460958", "GB"), ("+491701234567", "DE"), ("sip:x", "FR")],
)
def test_numbers_are_read_in_the_notation_of_the_called_number(called: str, region: str) -> None:
    assert region_of(called, "FR") == region


@pytest.mark.parametrize(
    "slot",
    [
        {"kind": "choice"},
        {"kind": "text", "choices": ["a"]},
        {"kind": "choice", "choices": ["a", "A"]},
        {"kind": "text", "when": "past"},
        {"kind": "text", "min": 1},
        {"kind": "colour"},
        {"name": "callback", "kind": "text"},
        {"name": "name", "kind": "text"},
        {"name": "two words"},
    ],
)
def test_a_slot_that_contradicts_itself_is_refused(slot: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Slot.model_validate({"name": "it", **slot})


SLOTS = [
    Slot(name="it", kind="person_name"),
    Slot(name="it", kind="phone"),
    Slot(name="it", kind="date", when="future"),
    Slot(name="it", kind="text"),
    Slot(name="it", kind="number", min=0),
    Slot(name="it", kind="choice", choices=("a", "b")),
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.text(min_size=1000, max_size=3000),
    st.lists(st.integers(), max_size=3),
    st.dates().map(str),
)


@given(slot=st.sampled_from(SLOTS), value=VALUES, lenient=st.booleans())
def test_whatever_is_given_the_value_fits_its_kind_or_is_refused(
    slot: Slot, value: object, lenient: bool
) -> None:
    try:
        found = read_slot(slot, value, region="US", today=TODAY, lenient=lenient)
    except (BadSlotError, EmptySlotError):
        return
    assert isinstance(found, str | int | float)
    assert len(str(found)) <= LONGEST[slot.kind]
    assert "\n" not in str(found)
