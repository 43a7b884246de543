"""The stream is over: what was decided is answered, by anybody, any number of times."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bridge.store.ledger import (
    CallOpening,
    HandoverReport,
    LedgerUnavailableError,
    SideEffect,
    StoredDecision,
)
from bridge.store.memory import MemoryLedger
from tests.bridge.web.conftest import (
    ACCOUNT,
    CALL,
    ENVIRON,
    FLOW,
    INCOMING,
    NOW,
    PUBLIC,
    ServeSite,
    Site,
)
from tests.bridge.web.decided import opening

TODAY = ENVIRON["FALLBACK_URL"]
STUDIO = f"https://webhooks.twilio.com/v1/Accounts/{ACCOUNT}/Flows/{FLOW}"
IN_PROGRESS = INCOMING | {"CallStatus": "in-progress"}


def decision(hop: int = 0, text: str = "decided") -> StoredDecision:
    return StoredDecision(
        call_sid=CALL,
        hop=hop,
        route="flex",
        intent="billing",
        reason="model",
        twiml=f"<Response><Say>{text}</Say></Response>",
        decided_at=NOW,
    )


def fallback(reason: str) -> str:
    return f"{STUDIO}?FlowEvent=return&outcome=fallback&reason={reason}"


async def test_the_decision_is_answered_by_token_and_by_call(site: Site) -> None:
    await site.post("/voice")
    await site.ledger.record_decision(decision())
    answers = [await site.post(target, IN_PROGRESS) for target in ("/after/token-1", "/after")]
    assert [answer.text for answer in answers] == [decision().twiml] * 2


async def test_without_a_decision_todays_flow_is_the_decision_for_good(site: Site) -> None:
    await site.post(f"/voice?flow={FLOW}")
    assert (await site.post("/after/token-1", IN_PROGRESS)).redirect == fallback("no_decision")
    late = await site.ledger.record_decision(decision())
    assert (late.route, late.reason) == ("fallback", "no_decision")
    assert (await site.post("/after/token-1", IN_PROGRESS)).redirect == fallback("no_decision")


class AskedOnce(MemoryLedger):
    """Tells when it was first asked for a decision."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW, lambda: "token-1")
        self.asked = asyncio.Event()

    async def decision(self, call_sid: str, hop: int | None = None) -> StoredDecision | None:
        found = await super().decision(call_sid, hop)
        self.asked.set()
        return found


async def test_a_decision_that_is_written_while_twilio_asks_is_the_answer(
    serve: ServeSite,
) -> None:
    """A stream that is lost ends the call on both sides at once: who is first must not matter."""
    ledger = AskedOnce()
    site = await serve(ledger=ledger)
    await site.post(f"/voice?flow={FLOW}")
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(site.post("/after/token-1", IN_PROGRESS))
        await ledger.asked.wait()
        await ledger.record_decision(decision())
    assert asking.result().text == decision().twiml


async def test_status_callbacks_change_no_answer(site: Site) -> None:
    await site.post("/voice")
    await site.ledger.record_decision(decision())
    await site.post("/status", INCOMING | {"CallStatus": "completed", "CallDuration": "31"})
    assert (await site.post("/after/token-1", IN_PROGRESS)).text == decision().twiml


async def test_each_token_answers_for_its_own_hop(site: Site) -> None:
    for hop in (0, 1):
        await site.post("/voice", headers={"I-Twilio-Idempotency-Token": str(hop)})
        await site.ledger.record_decision(decision(hop, f"hop {hop}"))
    answers = [
        (await site.post(target, IN_PROGRESS)).xml[0].text
        for target in ("/after/token-1", "/after/token-2", "/after")
    ]
    assert answers == ["hop 0", "hop 1", "hop 1"]


def request(name: str) -> dict[str, str]:
    """Twilio repeats a request under the same name."""
    return {"I-Twilio-Idempotency-Token": name}


async def test_a_passage_that_left_no_trace_is_not_answered_with_the_one_before(
    site: Site,
) -> None:
    """A TwiML Bin's stream that was refused, or never reached us: once more round the same circle
    the caller would go."""
    await site.ledger.open_call(replace(opening(), entry="bin"))
    await site.ledger.record_decision(decision())
    first, repeated, second, third = [
        await site.post("/after", IN_PROGRESS, headers=request(name))
        for name in ("one", "one", "two", "three")
    ]
    assert (first.text, repeated) == (decision().twiml, first)
    assert [second.redirect, third.redirect] == [fallback("no_decision")] * 2
    assert site.fates.gone == []
    assert await site.ledger.decision(CALL) == decision()


async def test_a_passage_that_is_taken_again_is_answered_with_its_own_decision(site: Site) -> None:
    for hop in (0, 1):
        await site.ledger.open_call(replace(opening(), entry="bin"))
        await site.ledger.record_decision(decision(hop))
        reply = await site.post("/after", IN_PROGRESS, headers=request(str(hop)))
        assert reply.text == decision(hop).twiml


class KeepsNoReports(MemoryLedger):
    """Can be read, and hangs on a report."""

    async def report(
        self, report: HandoverReport, effects: Sequence[SideEffect] = ()
    ) -> HandoverReport:
        await asyncio.Event().wait()
        return report


async def test_a_caller_does_not_wait_for_that_to_be_written(serve: ServeSite) -> None:
    ledger = KeepsNoReports(lambda: NOW, lambda: "token-1")
    site = await serve(ledger=ledger, ANSWER_WAIT_S="10")
    await ledger.open_call(replace(opening(), entry="bin"))
    await ledger.record_decision(decision())
    async with asyncio.timeout(10):
        assert (await site.post("/after", IN_PROGRESS)).text == decision().twiml


async def test_a_token_of_another_call_is_not_followed(site: Site) -> None:
    other = "CA" + "d" * 32
    await site.post("/voice")
    await site.ledger.record_decision(decision())
    await site.post("/voice", INCOMING | {"CallSid": other})
    reply = await site.post("/after/token-1", IN_PROGRESS | {"CallSid": other})
    assert reply.redirect == TODAY


async def test_a_call_nobody_knows_goes_to_todays_flow(serve: ServeSite) -> None:
    site = await serve(ENTRY="studio", STUDIO_FLOW_SID=FLOW)
    assert (await site.post("/after/lost", IN_PROGRESS)).redirect == fallback("unknown_call")
    assert (await site.post("/after", IN_PROGRESS)).redirect == fallback("unknown_call")


async def test_a_caller_who_left_leaves_no_decision_behind(site: Site) -> None:
    await site.post("/voice")
    reply = await site.post("/after/token-1", INCOMING | {"CallStatus": "completed"})
    assert reply.verbs == []
    assert await site.ledger.decision(CALL) is None


class WritesHang(MemoryLedger):
    """Reads are answered; what is to be written never is."""

    async def record_decision(
        self, decision: StoredDecision, effects: Sequence[SideEffect] = ()
    ) -> StoredDecision:
        await asyncio.Event().wait()
        return decision


async def test_a_caller_does_not_wait_for_the_fallback_to_be_written(serve: ServeSite) -> None:
    """They hear nothing meanwhile; and they go back into the flow that they came from."""
    ledger = WritesHang(lambda: NOW, lambda: "token-1")
    site = await serve(ledger=ledger, ANSWER_WAIT_S="10")
    await site.post(f"/voice?flow={FLOW}")
    async with asyncio.timeout(10):
        reply = await site.post("/after/token-1", IN_PROGRESS)
    assert reply.redirect == fallback("no_decision")


class ForgetsTokens(MemoryLedger):
    """Goes away, or hangs, once a call has been taken."""

    def __init__(self, trouble: str) -> None:
        super().__init__(lambda: NOW, lambda: "token-1")
        self._trouble = trouble

    async def token_call(self, token: str) -> CallOpening | None:
        if self._trouble == "slow":
            await asyncio.Event().wait()
        raise LedgerUnavailableError("away", "gone")


OTHER_FLOW = "FW" + "0" * 32


@pytest.mark.parametrize(
    ("trouble", "reason"), [("gone", "internal_error"), ("slow", "too_slow")], ids=["gone", "slow"]
)
@pytest.mark.parametrize(
    "environ",
    [{}, {"STUDIO_FLOW_SID": OTHER_FLOW}, {"STUDIO_FLOW_SID": OTHER_FLOW, "ENTRY": "studio"}],
    ids=["no flow configured", "another one", "another one as the entry"],
)
async def test_without_a_ledger_a_call_goes_back_to_the_flow_that_sent_it(
    serve: ServeSite, environ: dict[str, str], trouble: str, reason: str
) -> None:
    """Elsewhere it would start anew, or have no execution to return to."""
    site = await serve(ledger=ForgetsTokens(trouble), ANSWER_WAIT_S="0.5", **environ)
    connect = (await site.post(f"/voice?flow={FLOW}")).xml[0]
    address = (connect.get("action") or "").partition("#")[0]  # what Twilio requests, and signs
    reply = await site.post(address.removeprefix(PUBLIC), IN_PROGRESS)
    assert reply.redirect == fallback(reason)


async def test_a_flow_of_another_shape_is_not_returned_to(serve: ServeSite) -> None:
    site = await serve(ledger=ForgetsTokens("gone"))
    for odd in (f"{FLOW}0", "FW" + "x" * 32, f"{FLOW}%2F..", ""):
        reply = await site.post(f"/after/token-1?flow={odd}", IN_PROGRESS)
        assert reply.redirect == TODAY
