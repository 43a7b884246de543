"""The parts of a triage file that say who gets the AI: shares, stages, lists, hours, the guard."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dispatch.rollout import Guard, Hours, Rollout, percent, tenths
from dispatch.triagefile import check_file, load

WORKFLOW = "WW" + "0" * 32
SOUND = f"""\
tenant = "acme"
numbers = ["+14155550100"]
[business]
name = "ACME"
[routes.desk]
kind = "flex"
workflow_sid = "{WORKFLOW}"
[routes.message]
kind = "voicemail"
[default]
route = "message"
[human]
route = "desk"
[[intent]]
name = "billing"
description = "Invoices."
route = "desk"
"""


@given(st.integers(0, 1000))
def test_every_tenth_of_a_percent_can_be_written_and_read(share: int) -> None:
    assert tenths(percent(share)) == share
    assert tenths(f" {percent(share)} % ") == share
    assert tenths(share / 10) == share


@pytest.mark.parametrize(
    "given", [101, 100.1, -1, 5.05, "5.05", "", "five", "1e2", "0x5", True, float("nan"), "5,5"]
)
def test_anything_else_is_no_share(given: str | float) -> None:
    expected = f"is {given!r}, expected a share from 0 to 100 in steps of 0.1"
    with pytest.raises(ValueError, match=re.escape(expected)):
        tenths(given)


FAULTS = {
    "share": ("[rollout]\nshare = 101", "is 101.0, expected a share from 0 to 100 in steps of 0.1"),
    "rollout.numbers.+14155550100": (
        '[rollout.numbers]\n"+14155550100" = 5.05',
        "is 5.05, expected a share from 0 to 100 in steps of 0.1",
    ),
    "rollout.allow[#1]": (
        '[rollout]\nallow = ["4155550100"]',
        "is '4155550100', expected a number in E.164 form such as +14155550100",
    ),
    "rollout.block[#2]": (
        '[rollout]\nblock = ["+14155550101", "anonymous"]',
        "is 'anonymous', expected a number in E.164 form such as +14155550100",
    ),
    "rollout.hours.mon[#1]": (
        '[rollout.hours]\nmon = ["7-18"]',
        "is '7-18', expected a span such as '07:00-18:00'",
    ),
    "rollout.hours.tue[#1]": (
        '[rollout.hours]\ntue = ["07:00-24:30"]',
        "is '07:00-24:30', expected a span such as '07:00-18:00'",
    ),
    "rollout": ("[rollout]\nstages = [25, 5]", "'stages' must rise and begin above 0"),
    "guard.severe": ("[guard]\nsevere = 1", "is 1: input should be greater than 1"),
    "admission.calls": ("[admission]\ncalls = 0", "is 0: input should be greater than or equal"),
}


@pytest.mark.parametrize("field", FAULTS)
def test_check_names_the_field_what_came_and_what_was_expected(field: str, tmp_path: Path) -> None:
    text, message = FAULTS[field]
    file = tmp_path / "acme.toml"
    file.write_text(f"{SOUND}{text}\n", encoding="utf-8")
    [finding] = check_file(file)
    assert finding.severity == "error"
    assert finding.field in (field, f"rollout.{field}")
    assert finding.message.startswith(message)


def test_check_warns_of_a_share_for_a_number_of_nobody(tmp_path: Path) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(f'{SOUND}[rollout.numbers]\n"+14155550199" = 5\n', encoding="utf-8")
    [finding] = check_file(file)
    assert (finding.severity, finding.field, finding.message) == (
        "warning",
        "rollout.numbers.+14155550199",
        "is not a number of this tenant: it never counts",
    )


def test_without_a_word_about_it_everybody_gets_the_ai(tmp_path: Path) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(SOUND, encoding="utf-8")
    policy = load(file).policy
    assert policy.rollout == Rollout(share=100, stages=(5, 25, 60, 100))
    assert policy.guard == Guard(first_model_audio_p95_ms=800, first_audio_p95_ms=1400)


def test_nobody_is_allowed_and_blocked() -> None:
    number = "+14155550100"
    with pytest.raises(ValidationError, match="is in 'allow' and in 'block'"):
        Rollout(allow=(number,), block=(number,))


WEEK = Hours(
    mon=("07:00-12:00", "13:00-18:00"),
    fri=("22:00-02:00",),
    sun=("00:00-24:00",),
    closed_on=(dt.date(2026, 11, 30),),
)
MOMENTS = {
    "before it opens": ("2026-11-23 06:59", False),
    "as it opens": ("2026-11-23 07:00", True),
    "at lunch": ("2026-11-23 12:00", False),
    "after lunch": ("2026-11-23 13:00", True),
    "as it closes": ("2026-11-23 18:00", False),
    "a day that is left out": ("2026-11-24 10:00", False),
    "friday night": ("2026-11-27 23:59", True),
    "after midnight of friday": ("2026-11-28 01:59", True),
    "when friday ends": ("2026-11-28 02:00", False),
    "the last minute of an open day": ("2026-11-29 23:59", True),
    "a holiday": ("2026-11-30 10:00", False),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_opening_hours(moment: str) -> None:
    at, is_open = MOMENTS[moment]
    assert WEEK.are_open(dt.datetime.fromisoformat(at)) is is_open


NIGHTS = Hours(
    mon=("18:00-08:00",),
    tue=("18:00-08:00",),
    wed=("18:00-08:00",),
    closed_on=(dt.date(2026, 11, 24),),
)
AROUND_A_HOLIDAY = {
    "the evening before": ("2026-11-23 23:59", True),
    "its first minute": ("2026-11-24 00:00", False),
    "its early morning": ("2026-11-24 07:59", False),
    "its evening": ("2026-11-24 23:59", False),
    "the night after": ("2026-11-25 00:00", True),
    "the morning after": ("2026-11-25 08:00", False),
    "the evening after": ("2026-11-25 18:00", True),
}


@pytest.mark.parametrize("moment", AROUND_A_HOLIDAY)
def test_a_holiday_is_closed_from_midnight_to_midnight(moment: str) -> None:
    at, is_open = AROUND_A_HOLIDAY[moment]
    assert NIGHTS.are_open(dt.datetime.fromisoformat(at)) is is_open


PAGES = {
    "no such route": ('page = "duty"', "there is no route 'duty'; there are: "),
    "another kind of route": ('page = "message"', "is a voicemail route, expected a page route"),
    "nobody to send from": (
        'page = "duty"\n[routes.duty]\nkind = "page"\nsms = ["+14155550112"]',
        "'duty' needs a from_number: no call tells which number its SMS come from",
    ),
}


@pytest.mark.parametrize("case", PAGES)
def test_check_finds_a_guard_that_could_tell_nobody(tmp_path: Path, case: str) -> None:
    text, message = PAGES[case]
    sound = re.sub(r"^numbers = .*$", 'numbers = ["*"]', SOUND, flags=re.MULTILINE)
    file = tmp_path / "acme.toml"
    file.write_text(f"{sound}[guard]\n{text}\n", encoding="utf-8")
    faults = [one for one in check_file(file) if one.severity == "error"]
    assert [one.field for one in faults] == ["guard.page"]
    assert message in faults[0].message
