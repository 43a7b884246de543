"""A tenant's rules as one frozen value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from dispatch.context import CallContext
from dispatch.policy import TenantPolicy
from dispatch.routes import FlexRoute, route_parameters, static_attributes


def test_what_is_looked_up_by_name_is_found_or_none(policy: TenantPolicy) -> None:
    emergency = policy.intent("emergency")
    assert emergency is not None
    assert emergency == policy.emergency_intent()
    assert policy.intent("nothing") is None
    assert policy.tool("nothing") is None
    assert (policy.language, policy.zone) == ("en-US", ZoneInfo("America/Los_Angeles"))


def test_a_slot_is_the_intents_own_before_anothers(policy: TenantPolicy) -> None:
    own = policy.slot("schedule", "name")
    other = policy.slot("faq", "name")
    assert own is not None
    assert other is not None
    assert (own.required, other.required) == (True, False)
    assert policy.slot("schedule", "colour") is None


def test_nothing_changes_after_loading(policy: TenantPolicy) -> None:
    with pytest.raises(ValidationError):
        policy.tenant = "other"
    with pytest.raises(ValidationError):
        policy.human.route = "other"


def test_a_policy_whose_parts_contradict_each_other_cannot_exist(policy: TenantPolicy) -> None:
    raw: dict[str, Any] = policy.model_dump(by_alias=True)
    raw["default"]["route"] = "nowhere"
    raw["intent"][0]["on_failure"] = ["gone"]
    with pytest.raises(ValidationError) as caught:
        TenantPolicy.model_validate(raw)
    assert "default.route: there is no route 'nowhere'" in str(caught.value)
    assert "intent.0.on_failure.0: there is no route 'gone'" in str(caught.value)


def test_a_policy_survives_being_written_and_read(policy: TenantPolicy) -> None:
    assert TenantPolicy.model_validate_json(policy.model_dump_json(by_alias=True)) == policy


def test_what_the_operator_adds_goes_with_its_own_kind_of_route(policy: TenantPolicy) -> None:
    assert static_attributes(policy.routes["on_call"]) == {"skills": ["emergency"]}
    assert static_attributes(policy.routes["scheduling"]) == {}
    assert route_parameters(policy.routes["scheduling"]) == {"queue": "scheduling"}
    assert route_parameters(policy.routes["on_call"]) == {}


@pytest.mark.parametrize("key", ["call_sid", "intent", "from_city", ""])
def test_an_attribute_that_would_be_overwritten_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        FlexRoute(kind="flex", workflow_sid="WW" + "0" * 32, attributes={key: "x"})


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+14158654838", "+14158654838"),
        ("anonymous", None),
        ("", None),
        ("+1", None),
        ("+1415865483x", None),
        ("+٤١٥٨٦٥٤٨٣٨", None),
        ("sip:a@b.example", None),
    ],
)
def test_only_a_telephone_number_is_a_callers_number(
    number: str, expected: str | None, call: Callable[..., CallContext]
) -> None:
    assert call(from_number=number).caller_number == expected


def test_a_call_needs_a_time_with_a_zone(call: Callable[..., CallContext]) -> None:
    with pytest.raises(ValueError, match="started_at needs a time zone"):
        call(started_at=dt.datetime(2026, 1, 1))  # noqa: DTZ001 - that is the fault
