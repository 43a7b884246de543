"""Whoever is on call hears that the guard stepped back; what fails is tried again, then logged."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from bridge.paging import Pager
from dispatch.performers import Effect, performers
from dispatch.policy import TenantPolicy
from tests.dispatch.wires import rest_of, twilio

TOLD = "rollout of acme went to zero: fallbacks: 3 of 3 calls"
DUTY = {"kind": "page", "sms": ["+14155550112"], "email": ["owner@acme.example"]}


def policy(**guard: Any) -> TenantPolicy:  # noqa: ANN401
    return TenantPolicy.model_validate(
        {
            "tenant": "acme",
            "numbers": ["+14155550100"],
            "business": {"name": "ACME"},
            "routes": {"message": {"kind": "voicemail"}, "duty": DUTY},
            "default": {"route": "message"},
            "human": {"route": "message"},
            "intent": [{"name": "billing", "description": "Invoices.", "route": "message"}],
            "guard": guard,
        }
    )


async def test_a_message_whose_answer_is_lost_is_sent_once_and_the_other_is_given_up() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        simulated.rest_faults.fail_next(1, "CreateMessage")
        with capture_logs() as logged:
            await Pager(performers(rest, None), lambda: 1_700_000_000.0)(policy(page="duty"), TOLD)
        assert [one.fields["Body"] for one in simulated.messages] == [TOLD]
    told = {(one["event"], one["kind"], one.get("error")) for one in logged}
    assert told == {
        ("page_sent", "sms", None),
        ("page_not_sent", "email", "SMTP_URL and SMTP_FROM are not set"),
    }


async def test_whatever_breaks_while_somebody_is_told_ends_nothing_and_the_others_are_told() -> (
    None
):
    async def breaks(_effect: Effect) -> str:
        raise UnicodeError("label empty or too long")

    told: list[str] = []

    async def works(effect: Effect) -> str:
        told.append(effect.payload["to"])
        return "SM1"

    with capture_logs() as logged:
        pager = Pager({"sms": works, "email": breaks}, lambda: 1_700_000_000.0)
        await pager(policy(page="duty"), TOLD)
    assert told == ["+14155550112"]
    assert {(one["event"], one["kind"], one.get("error")) for one in logged} == {
        ("page_sent", "sms", None),
        ("page_not_sent", "email", "UnicodeError"),
    }


async def test_without_a_page_route_nobody_is_told() -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        await Pager(performers(rest, None), lambda: 1_700_000_000.0)(policy(), TOLD)
        assert list(simulated.messages) == []
