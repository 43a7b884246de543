"""TaskRouter's expressions, judged as its documentation reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.filters import ANYTHING, BadExpressionError, Judgement, judge

TASK: dict[str, object] = {
    "intent": "billing",
    "priority": 30,
    "skills": ["emergency", "en"],
    "handedOff": True,
    "conversations": {"queue": "billing"},
    "language": ANYTHING,
}


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ('intent == "billing"', True),
        ("intent = 'billing'", True),
        ('intent == "sales"', False),
        ('intent != "sales"', True),
        ('"billing" == intent', True),
        ('intent IN ["sales", "billing"]', True),
        ("intent NOT IN ['sales']", True),
        ('intent CONTAINS "bill"', True),
        ('skills HAS "emergency"', True),
        ('skills HAS "sales"', False),
        ('skills CONTAINS "en"', True),
        ('intent HAS "billing"', False),
        ("priority > 20 AND priority <= 30", True),
        ("priority < 20 OR priority >= 30.0", True),
        ('priority == "30"', False),
        ("handedOff == true", True),
        ("handedOff == 1", False),
        ('conversations.queue == "billing"', True),
        ('conversations.nothing == "billing"', False),
        ("1 == 1", True),
        ('(intent == "sales") OR (priority == 30)', True),
        ('NOT intent == "sales"', True),
        ('NOT (intent == "billing" AND priority == 30)', False),
        ('nobody == "x"', False),
        ('nobody != "x"', True),
        ("nobody > 1", False),
        ('language == "en-US"', None),
        ('language == "en-US" AND intent == "sales"', False),
        ('language == "en-US" OR intent == "billing"', True),
        ('NOT language == "en-US"', None),
        ('language HAS "en"', None),
        ('language.base == "en"', None),
        ('intent == "billing" and priority == 30', True),
    ],
)
def test_an_expression_matches(expression: str, matches: bool | None) -> None:
    assert judge(expression, TASK).matches is matches


def test_what_an_expression_asks_for_is_named() -> None:
    judged = judge('intent HAS "x" AND (a == 1 OR conversations.queue == "AND")', TASK)
    names = frozenset({"intent", "a", "conversations.queue"})
    assert judged == Judgement(False, names, frozenset({"intent"}))


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("", "ends too early"),
        ("intent", "ends too early"),
        ("intent ==", "ends too early"),
        ('intent == "billing', "has '\"billing', which is no part of it"),
        ('intent like "b"', "has 'LIKE' where a comparison belongs"),
        ('intent == "a" "b"', "goes on with"),
        ('(intent == "a"', r"lacks a '\)'"),
        ('caller-name == "a"', "has a hyphen in 'caller-name'"),
        ('AND == "a"', "has 'AND' where a name or a value belongs"),
        ('intent IN ["a" "b"]', "has a list without commas"),
        ('intent == ["a"', "ends too early|without commas"),
        ("(" * 60 + "1 == 1", "has too many brackets"),
        ("x" * 10_001, "is too long"),
    ],
)
def test_what_is_no_expression_says_why(expression: str, what: str) -> None:
    with pytest.raises(BadExpressionError, match=what):
        judge(expression, TASK)


@given(st.text(alphabet="ab\"'()[]=!<>, ANDORHIT-1.", max_size=40))
def test_any_text_is_judged_or_refused(expression: str) -> None:
    try:
        judged = judge(expression, TASK)
    except BadExpressionError:
        return
    assert judged.matches in (True, False, None)
