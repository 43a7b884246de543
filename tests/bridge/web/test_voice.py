"""A call comes in: to the AI with a token, or at once to today's flow."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from bridge.store.ledger import CallOpening, LedgerUnavailableError
from bridge.store.memory import MemoryLedger
from tests.bridge.web.conftest import (
    ACCOUNT,
    CALL,
    ENVIRON,
    FLOW,
    INCOMING,
    NOW,
    OpenLine,
    ServeSite,
    Site,
)

TODAY = ENVIRON["FALLBACK_URL"]
STUDIO = f"https://webhooks.twilio.com/v1/Accounts/{ACCOUNT}/Flows/{FLOW}"


async def test_a_call_is_connected_to_the_media_socket_with_a_token(site: Site) -> None:
    reply = await site.post("/voice")
    assert reply.text == (
        '<?xml version="1.0" encoding="UTF-8"?><Response>'
        '<Connect action="https://voice.example.com/after/token-1#rc=2&amp;rp=all" method="POST">'
        '<Stream statusCallback="https://voice.example.com/status" statusCallbackMethod="POST" '
        'url="wss://voice.example.com/media">'
        '<Parameter name="token" value="token-1" /></Stream></Connect>'
        '<Redirect method="POST">https://ivr.example.com/today?menu=1&amp;x=2</Redirect>'
        "</Response>"
    )


async def test_the_call_is_in_the_ledger_and_expected_at_the_switchboard(site: Site) -> None:
    await site.post("/voice?ivr_menu=2", INCOMING | {"flex_skill": "en", "Digits": "7"})
    opening = CallOpening(
        call_sid=CALL,
        account_sid=ACCOUNT,
        tenant="acme",
        from_number="+15550100001",
        to_number="+15550100002",
        entry="number",
        started_at=NOW,
        parameters={"ivr_menu": "2", "flex_skill": "en"},
        side_reason="share",
    )
    assert await site.ledger.redeem_token("token-1", CALL, ACCOUNT) == opening
    assert site.line.expected == ["acme"]


async def test_a_call_sent_by_a_studio_flow_returns_to_it(site: Site) -> None:
    reply = await site.post(f"/voice?flow={FLOW}")
    assert reply.verbs == ["Connect", "Redirect"]
    assert reply.xml[1].text == f"{STUDIO}?FlowEvent=return&outcome=fallback&reason=stream_failed"
    opening = await site.ledger.opening(CALL)
    assert opening is not None
    assert (opening.entry, opening.flow_sid) == ("studio", FLOW)


async def test_studio_can_be_the_configured_entry(serve: ServeSite) -> None:
    site = await serve(ENTRY="studio", STUDIO_FLOW_SID=FLOW)
    await site.post("/voice")
    opening = await site.ledger.opening(CALL)
    assert opening is not None
    assert (opening.entry, opening.flow_sid) == ("studio", FLOW)


async def test_a_flow_that_is_none_is_not_believed(site: Site) -> None:
    site.line.reasons = ["draining"]
    assert (await site.post("/voice?flow=Main")).redirect == TODAY


async def test_not_ready_means_todays_flow_at_once(site: Site) -> None:
    site.line.reasons = ["draining"]
    assert (await site.post("/voice")).redirect == TODAY
    assert (await site.post(f"/voice?flow={FLOW}")).redirect == (
        f"{STUDIO}?FlowEvent=return&outcome=fallback&reason=draining"
    )
    assert await site.ledger.opening(CALL) is None
    assert site.line.expected == []


async def test_a_number_of_no_tenant_goes_to_todays_flow(serve: ServeSite) -> None:
    site = await serve(tenant_of=lambda number: None if number.endswith("2") else "acme")
    assert (await site.post("/voice")).redirect == TODAY


async def test_without_a_fallback_address_todays_flow_is_the_studio_flow(serve: ServeSite) -> None:
    site = await serve(FALLBACK_URL="", STUDIO_FLOW_SID=FLOW)
    site.line.reasons = ["draining"]
    assert (await site.post("/voice")).redirect == f"{STUDIO}?Trigger=incomingCall"


async def test_with_nowhere_to_go_the_caller_is_told(serve: ServeSite) -> None:
    site = await serve(
        insecure_local=True, FALLBACK_URL="", PUBLIC_URL="", REALTIME_URL="ws://127.0.0.1:1/x"
    )
    site.line.reasons = ["draining"]
    assert (await site.post("/voice")).verbs == ["Say", "Hangup"]


async def test_a_repeated_webhook_is_the_same_call_and_expected_once(site: Site) -> None:
    retry = {"I-Twilio-Idempotency-Token": "one"}
    await site.post("/voice", headers=retry)
    await site.ledger.redeem_token("token-1", CALL, ACCOUNT)
    assert (await site.post("/voice", headers=retry)).verbs == ["Connect", "Redirect"]
    opening = await site.ledger.opening(CALL)
    assert opening is not None
    assert opening.hop == 0


async def test_a_call_that_comes_back_too_often_stays_in_todays_flow(serve: ServeSite) -> None:
    site = await serve(MAX_HOPS="2")
    answers = []
    for number in range(3):
        reply = await site.post("/voice", headers={"I-Twilio-Idempotency-Token": str(number)})
        answers.append(reply.verbs)
    assert answers == [["Connect", "Redirect"], ["Connect", "Redirect"], ["Redirect"]]


async def test_too_many_or_too_long_parameters_are_left_out(site: Site) -> None:
    many = {f"flex_{number:03}": "x" for number in range(40)}
    await site.post("/voice", INCOMING | {"ivr_long": "x" * 500, "ivr_bad-key": "x"} | many)
    opening = await site.ledger.opening(CALL)
    assert opening is not None
    assert opening.parameters == {f"flex_{number:03}": "x" for number in range(32)}


async def test_a_withheld_number_is_taken_as_it_comes(site: Site) -> None:
    await site.post("/voice", INCOMING | {"From": "+266696687"})
    opening = await site.ledger.opening(CALL)
    assert opening is not None
    assert opening.from_number == "+266696687"


class BrokenLedger(MemoryLedger):
    """Fails as a database does: ``error`` at once, or no answer at all."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__(lambda: NOW, lambda: "token")
        self._error = error

    async def open_call(
        self, opening: CallOpening, idempotency_key: str | None = None
    ) -> CallOpening:
        if self._error is None:
            await asyncio.Event().wait()
        raise self._error or AssertionError


FAILURES = {
    "a ledger that says so": LedgerUnavailableError("full"),
    "an error nobody foresaw": RuntimeError("broken"),
    "no answer": None,
}


@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES.keys())
async def test_whatever_fails_the_caller_gets_todays_flow_and_never_an_error(
    error: Exception | None, serve: ServeSite
) -> None:
    site = await serve(ledger=BrokenLedger(error), ANSWER_WAIT_S="0.2")
    assert (await site.post("/voice")).redirect == TODAY
    reply = await site.post(f"/voice?flow={FLOW}")
    assert reply.redirect.startswith(f"{STUDIO}?FlowEvent=return&outcome=fallback&reason=")


async def test_insecure_local_takes_unsigned_calls_of_any_account(serve: ServeSite) -> None:
    site = await serve(
        insecure_local=True,
        PUBLIC_URL="http://127.0.0.1:8080",
        TWILIO_ACCOUNT_SID="",
        TWILIO_AUTH_TOKEN="",
    )
    body = f"CallSid={CALL}&AccountSid={ACCOUNT}".encode()
    reply = await site.send("POST", "/voice", body)
    assert reply.xml[0][0].get("url") == "ws://127.0.0.1:8080/media"


async def test_health_is_always_well_and_readiness_says_why_not(site: Site) -> None:
    health = (await site.send("GET", "/healthz")).text
    assert re.fullmatch(r'\{"status":"ok","tasks":[1-9][0-9]*\}', health)
    ready = await site.send("GET", "/readyz")
    assert (ready.status, ready.text) == (200, '{"ready":true,"reasons":[],"live_calls":0}')
    site.line.reasons, site.line.live_calls = ["draining"], 2
    not_ready = await site.send("GET", "/readyz")
    assert (not_ready.status, not_ready.text) == (
        503,
        '{"ready":false,"reasons":["draining"],"live_calls":2}',
    )


async def test_a_full_process_stays_in_the_load_balancer_and_passes_new_calls_on(
    site: Site,
) -> None:
    """It is still asked where its calls go; were all full, nobody would answer at all."""
    site.line.reasons, site.line.live_calls = ["at_capacity"], 300
    ready = await site.send("GET", "/readyz")
    assert (ready.status, ready.text) == (
        200,
        '{"ready":true,"reasons":["at_capacity"],"live_calls":300}',
    )
    assert (await site.post("/voice")).redirect == ENVIRON["FALLBACK_URL"]


def test_the_stand_in_is_a_switchboard() -> None:
    from bridge.web.switchboard import Switchboard

    line: Switchboard = OpenLine()
    assert line.not_ready() == []


async def test_two_calls_at_once_get_tokens_of_their_own(site: Site) -> None:
    other = "CA" + "d" * 32
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(site.post("/voice"))
        second = tasks.create_task(site.post("/voice", INCOMING | {"CallSid": other}))
    tokens = [str(task.result().xml[0][0][0].get("value")) for task in (first, second)]
    openings = [await site.ledger.token_call(token) for token in tokens]
    assert openings[0] is not None
    assert openings == [openings[0], replace(openings[0], call_sid=other)]
