"""JSON made to fit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.fitting import dumped, fit_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=60,
)


@given(JSON, st.integers(min_value=20, max_value=400))
def test_whatever_comes_in_the_result_fits_and_is_json(value: object, limit: int) -> None:
    kept, was_cut = fit_json(value, limit)
    text = dumped(kept)
    assert len(text) <= limit
    json.loads(text)
    assert was_cut or kept == value


@given(JSON)
def test_what_fits_is_left_alone(value: object) -> None:
    assert fit_json(value, len(dumped(value)) + 20) == (value, False)


@pytest.mark.parametrize(
    ("value", "limit", "kept"),
    [
        ([1] * 300, 120, [1] * 50 + ["…"]),
        ({"a": "x" * 600}, 520, {"a": "x" * 499 + "…"}),
        ({"rows": [{"id": n, "note": "n" * 90} for n in range(9)]}, 400, None),
        ("word " * 50, 30, "word word word word word…"),
    ],
    ids=["list", "text", "rows", "words"],
)
def test_the_beginning_is_kept(value: object, limit: int, kept: object) -> None:
    got, was_cut = fit_json(value, limit)
    assert was_cut
    if kept is not None:
        assert got == kept
    else:
        assert isinstance(got, dict)
        assert got["rows"][0]["id"] == 0
        assert got["rows"][-1] == "…"


def test_nothing_is_left_of_half_a_character() -> None:
    assert dumped({"a": "x\ud800y"}) == '{"a":"x?y"}'
