"""One caller, one spelling; and whoever shows no number."""

from __future__ import annotations

import pytest

from bridge.traffic.callers import caller_number


@pytest.mark.parametrize(
    "given",
    [
        "+14155550199",
        " +14155550199 ",
        "+1 (415) 555-0199",
        "+1.415.555.0199",
        "0014155550199",
        "sip:+14155550199@pbx.example.com;user=phone",
        "SIPS:+14155550199@pbx.example.com",
    ],
)
def test_spellings_of_one_number_are_one_caller(given: str) -> None:
    assert caller_number(given) == "+14155550199"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "anonymous",
        "Restricted",
        "+266696687",
        "+7378742833",
        "+2562533",
        "+8656696",
        "+86282452253",
        "+",
        "+0155550199",
        "+1415",
        "+1415555019912345",
        "4155550199",
        "client:alice",
        "sip:alice@pbx.example.com",
        "+1415555O199",
        "+\u0661\u0664\u0661\u0665\u0665\u0665\u0665\u0660\u0661",
    ],
)
def test_withheld_and_malformed_numbers_are_nobodys(given: str) -> None:
    assert caller_number(given) is None
