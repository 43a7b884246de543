"""What Twilio asks while a call is handed over: each step answered once and for all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from bridge.store.ledger import (
    HandoverReport,
    LedgerUnavailableError,
    SideEffect,
    StoredDecision,
)
from bridge.store.memory import MemoryLedger
from tests.bridge.web.conftest import (
    ACCOUNT,
    CALL,
    FLOW,
    INCOMING,
    NOW,
    PUBLIC,
    ServeSite,
    Site,
)
from tests.bridge.web.decided import decision, keep, opening, stored

LIVE = {**INCOMING, "CallStatus": "in-progress"}
RECORDING = "RE" + "1" * 32
TODAY = "https://ivr.example.com/today?menu=1&x=2"


def step(name: str = "action", number: int = 0, hop: int = 0) -> str:
    return f"/call/{CALL}/{hop}/{number}/{name}"


def action(number: int) -> str:
    """The whole address: it names the flow that waits, for when the ledger cannot."""
    return f"{PUBLIC}{step(number=number)}?flow={FLOW}#rc=2&rp=all"


def queue(result: str) -> Mapping[str, str]:
    return {**LIVE, "QueueResult": result, "QueueTime": "3", "QueueSid": "QU" + "0" * 32}


def dialled(status: str, bridged: str = "false") -> Mapping[str, str]:
    return {**LIVE, "DialCallStatus": status, "DialBridged": bridged}


# --- the next route -------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["queue-full", "error", "system-error", "leave", "new-word"])
async def test_a_queue_that_does_not_take_the_call_leads_to_the_next_route(
    site: Site, result: str
) -> None:
    await keep(site.ledger, "on_call", "duty_phone", "page_owner")
    reply = await site.post(step(), queue(result))
    (dial,) = reply.xml
    assert (dial.tag, dial.get("action")) == ("Dial", action(1))
    assert dial[0].get("url") == f"{PUBLIC}{step('whisper', 1)}"
    assert dial[0].text == "+14155550111"


@pytest.mark.parametrize("status", ["no-answer", "busy", "failed"])
async def test_a_phone_that_is_not_answered_leads_to_the_next_route(
    site: Site, status: str
) -> None:
    await keep(site.ledger, "duty_phone", "message")
    reply = await site.post(step(), dialled(status))
    assert reply.verbs == ["Say", "Record", "Say", "Hangup"]
    assert reply.xml[1].get("action") == action(1)


async def test_a_callee_who_did_not_accept_leads_to_the_next_route(site: Site) -> None:
    await keep(site.ledger, "duty_phone", "message")
    assert "Record" in (await site.post(step(), dialled("completed"))).verbs


async def test_the_whole_chain_is_gone_through_step_by_step(site: Site) -> None:
    await keep(site.ledger, "on_call", "duty_phone", "page_owner")
    assert (await site.post(step(), queue("queue-full"))).verbs == ["Dial"]
    paged = await site.post(step(number=1), dialled("busy"))
    assert paged.verbs == ["Say", "Say", "Record", "Say", "Hangup"]
    message = {**LIVE, "RecordingSid": RECORDING, "RecordingDuration": "4"}
    assert (await site.post(step(number=2), message)).verbs == ["Say", "Hangup"]
    reports = await site.ledger.reports(CALL, 0)
    assert [(one.key, one.status, one.fields["route"]) for one in reports] == [
        ("step-0", "queue-full", "on_call"),
        ("step-1", "busy", "duty_phone"),
        ("step-2", "recorded", "message"),
    ]


async def test_the_end_of_every_chain_is_said_and_never_silence(site: Site) -> None:
    await keep(site.ledger, "on_call")
    reply = await site.post(step(), queue("error"))
    assert reply.verbs == ["Say", "Hangup"]
    assert "nobody can take your call" in (reply.xml[0].text or "")


async def test_the_same_step_asked_again_is_answered_the_same(site: Site) -> None:
    await keep(site.ledger, "on_call", "duty_phone", "message")
    first = await site.post(step(), queue("queue-full"))
    assert await site.post(step(), queue("queue-full")) == first
    assert await site.post(step(), queue("bridged")) == first, "the first result stands"
    assert len(await site.ledger.reports(CALL, 0)) == 1


async def test_what_the_next_route_wants_done_is_written_once_with_its_step(
    serve: ServeSite,
) -> None:
    ledger = MemoryLedger(lambda: NOW, lambda: "token")
    site = await serve(ledger=ledger)
    await keep(ledger, "duty_phone", "page_owner")
    for _ in range(2):
        await site.post(step(), dialled("busy"))
    assert [(one.kind, one.key, one.payload["to"]) for one in ledger.effects(CALL)] == [
        ("sms", "page_owner/0", "+14155550112"),
        ("email", "page_owner/0", "owner@acme-plumbing.example"),
    ]


# --- the call was taken, or is over ---------------------------------------------------------


@pytest.mark.parametrize("form", [queue("bridged"), dialled("completed", "true")])
async def test_a_conversation_that_is_over_ends_the_call(
    site: Site, form: Mapping[str, str]
) -> None:
    await keep(site.ledger, "on_call" if "QueueResult" in form else "duty_phone", "message")
    assert (await site.post(step(), form)).verbs == ["Hangup"]


async def test_a_call_that_was_redirected_is_left_alone(site: Site) -> None:
    await keep(site.ledger, "on_call", "message")
    assert (await site.post(step(), queue("redirected"))).verbs == []


@pytest.mark.parametrize(
    "form",
    [
        queue("hangup"),
        {**queue("queue-full"), "CallStatus": "completed"},
        {**dialled("busy"), "CallStatus": "completed"},
    ],
)
async def test_nothing_is_done_for_a_caller_who_has_left(
    serve: ServeSite, form: Mapping[str, str]
) -> None:
    ledger = MemoryLedger(lambda: NOW, lambda: "token")
    site = await serve(ledger=ledger)
    await keep(ledger, "on_call" if "QueueResult" in form else "duty_phone", "page_owner")
    assert (await site.post(step(), form)).verbs == []
    assert ledger.effects(CALL) == ()


# --- the callee -----------------------------------------------------------------------------

CALLEE = {**LIVE, "CallSid": "CA" + "d" * 32, "ParentCallSid": CALL}


async def test_the_callee_hears_the_summary_and_is_asked_to_accept(site: Site) -> None:
    await keep(site.ledger, "duty_phone", "message")
    reply = await site.post(step("whisper"), CALLEE)
    assert reply.verbs == ["Gather", "Hangup"]
    gather = reply.xml[0]
    assert gather.get("action") == f"{PUBLIC}{step('accept')}"
    said = gather[0].text or ""
    assert "Basement is flooding." in said
    assert "Press 1 to accept" in said


@pytest.mark.parametrize(("digits", "verbs"), [("1", []), ("2", ["Hangup"]), ("", ["Hangup"])])
async def test_the_key_accepts_and_nothing_else_does(
    site: Site, digits: str, verbs: list[str]
) -> None:
    await keep(site.ledger, "duty_phone", "message")
    assert (await site.post(step("accept"), {**CALLEE, "Digits": digits})).verbs == verbs


async def test_a_callee_of_a_call_that_is_not_known_hangs_up(site: Site) -> None:
    assert (await site.post(step("whisper"), CALLEE)).verbs == ["Hangup"]
    assert (await site.post(step("accept"), {**CALLEE, "Digits": "1"})).verbs == ["Hangup"]


# --- voicemail ------------------------------------------------------------------------------


def recorded(**fields: str) -> Mapping[str, str]:
    usual = {
        "AccountSid": ACCOUNT,
        "CallSid": CALL,
        "RecordingSid": RECORDING,
        "RecordingUrl": f"https://api.twilio.com/Recordings/{RECORDING}",
        "RecordingStatus": "completed",
        "RecordingDuration": "7",
    }
    return usual | fields


async def test_a_message_is_kept_with_the_number_to_call_back(site: Site) -> None:
    await keep(site.ledger, "message")
    assert (await site.post(step("recording"), recorded())).status == 204
    (report,) = await site.ledger.reports(CALL, 0)
    assert report == HandoverReport(
        CALL,
        0,
        f"recording-{RECORDING}",
        "completed",
        NOW,
        fields={
            "recording_sid": RECORDING,
            "callback": "+14155550177",
            "recording_url": f"https://api.twilio.com/Recordings/{RECORDING}",
            "duration_s": 7,
        },
    )


async def test_its_words_are_kept_beside_it(site: Site) -> None:
    await keep(site.ledger, "message")
    form = recorded(TranscriptionStatus="completed", TranscriptionText="Please call. " * 5000)
    assert (await site.post(step("transcription"), form)).status == 204
    (report,) = await site.ledger.reports(CALL, 0)
    assert report.key == f"transcription-{RECORDING}"
    assert report.fields["text"].startswith("Please call. Please call.")
    assert len(report.fields["text"]) == 10_000


@pytest.mark.parametrize(
    "fields",
    [{"RecordingSid": "RE1"}, {"RecordingSid": "../x"}, {"RecordingSid": ""}],
)
async def test_a_recording_without_its_name_is_refused(site: Site, fields: dict[str, str]) -> None:
    await keep(site.ledger, "message")
    assert (await site.post(step("recording"), recorded(**fields))).status == 400
    assert await site.ledger.reports(CALL, 0) == ()


async def test_odd_values_of_a_recording_are_left_out(site: Site) -> None:
    await keep(site.ledger, "message")
    odd = recorded(RecordingUrl="javascript:x", RecordingDuration="²", RecordingStatus="<b>")
    await site.post(step("recording"), odd)
    (report,) = await site.ledger.reports(CALL, 0)
    assert (report.status, report.fields["duration_s"], report.fields["recording_url"]) == (
        "completed",
        None,
        None,
    )


# --- who asks, and about what ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["action", "whisper", "accept", "recording", "transcription"])
async def test_only_twilio_may_ask(site: Site, name: str) -> None:
    await keep(site.ledger, "duty_phone", "message")
    reply = await site.post(step(name), LIVE, signed_as=f"{PUBLIC}/another")
    assert reply.status == 403


async def test_another_calls_result_moves_nobody(site: Site) -> None:
    await keep(site.ledger, "on_call", "message")
    form = {**queue("queue-full"), "CallSid": "CA" + "d" * 32}
    assert (await site.post(step(), form)).status == 403


@pytest.mark.parametrize(
    "path",
    ["/call/CA1/0/0/action", f"/call/{CALL}/x/0/action", f"/call/{CALL}/0/99/action"],
)
async def test_a_path_that_names_no_step_is_refused(site: Site, path: str) -> None:
    assert (await site.post(path, LIVE)).status == 404


@pytest.mark.parametrize("path", [step(), step(number=3), step(hop=1)])
async def test_a_caller_of_whom_nothing_is_known_goes_to_todays_flow(site: Site, path: str) -> None:
    await site.ledger.open_call(opening())
    assert (await site.post(path, queue("queue-full"))).redirect == TODAY
    over = {**queue("queue-full"), "CallStatus": "completed"}
    assert (await site.post(path, over)).verbs == []


async def test_such_a_caller_goes_back_to_the_flow_that_waits(site: Site) -> None:
    await keep(site.ledger, "on_call", "duty_phone", "message")
    dial = (await site.post(step(), queue("queue-full"))).xml[0]
    address = (dial.get("action") or "").partition("#")[0].removeprefix(PUBLIC)
    unknown = address.replace("/0/1/", "/0/9/")
    back = f"https://webhooks.twilio.com/v1/Accounts/{ACCOUNT}/Flows/{FLOW}?FlowEvent=return"
    reply = await site.post(unknown, dialled("busy"))
    assert reply.redirect == f"{back}&outcome=fallback&reason=unknown_step"
    assert (await site.post(address, dialled("busy"))).verbs == ["Say", "Record", "Say", "Hangup"]


async def test_a_conversation_that_was_had_ends_the_call_though_nothing_is_known_of_it(
    site: Site,
) -> None:
    """Its decision could not be written, and the call was moved by REST."""
    await site.ledger.open_call(opening())
    assert (await site.post(step(), queue("bridged"))).verbs == ["Hangup"]
    assert (await site.post(step(), dialled("completed", "true"))).verbs == ["Hangup"]
    assert (await site.post(step(), queue("redirected"))).verbs == []


# --- when the ledger fails ------------------------------------------------------------------


class FullLedger(MemoryLedger):
    """Can be read and not written."""

    async def report(
        self, report: HandoverReport, effects: Sequence[SideEffect] = ()
    ) -> HandoverReport:
        raise LedgerUnavailableError("the disk is full", "full")


async def test_a_step_that_cannot_be_written_is_taken_all_the_same(serve: ServeSite) -> None:
    ledger = FullLedger(lambda: NOW, lambda: "token")
    site = await serve(ledger=ledger)
    await keep(ledger, "on_call", "duty_phone", "message")
    assert (await site.post(step(), queue("queue-full"))).verbs == ["Dial"]
    assert (await site.post(step(), queue("bridged"))).verbs == ["Hangup"]


async def test_nobody_is_told_of_an_alarm_that_could_not_be_written(serve: ServeSite) -> None:
    ledger = FullLedger(lambda: NOW, lambda: "token")
    site = await serve(ledger=ledger)
    await keep(ledger, "duty_phone", "page_owner")
    reply = await site.post(step(), dialled("busy"))
    assert reply.verbs == ["Say", "Record", "Say", "Hangup"], "what follows the alarm"
    assert "alerted" not in reply.text


class GoneLedger(MemoryLedger):
    async def decision(self, call_sid: str, hop: int | None = None) -> None:
        raise LedgerUnavailableError("the database is gone", "gone")


async def test_without_a_ledger_the_caller_goes_to_todays_flow_and_the_callee_hangs_up(
    serve: ServeSite,
) -> None:
    site = await serve(ledger=GoneLedger(lambda: NOW, lambda: "token"))
    assert (await site.post(step(), queue("queue-full"))).redirect == TODAY
    assert (await site.post(step(), queue("bridged"))).verbs == ["Hangup"]
    assert (await site.post(step("whisper"), CALLEE)).verbs == ["Hangup"]
    assert (await site.post(step("recording"), recorded())).status == 500


async def test_a_decision_of_todays_flow_has_no_steps(site: Site) -> None:
    await site.ledger.open_call(opening())
    made = stored(decision("message"))
    fallback = type(made)(CALL, 0, "fallback", None, "no_decision", made.twiml, NOW)
    await site.ledger.record_decision(fallback)
    assert (await site.post(step(), queue("queue-full"))).redirect == TODAY


# --- what the guard is told -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "told"),
    [("error", ["acme"]), ("queue-full", ["acme"]), ("leave", []), ("bridged", [])],
)
async def test_the_guard_hears_of_ways_that_failed_and_not_of_people_who_did_not_answer(
    site: Site, result: str, told: list[str]
) -> None:
    await keep(site.ledger, "on_call", "duty_phone")
    await site.post(step(), queue(result))
    assert (site.fates.failed, site.fates.gone) == (told, [])


async def test_the_guard_hears_of_calls_that_come_back_without_a_decision(site: Site) -> None:
    await site.post("/voice")
    for _ in range(2):
        await site.post("/after/token-1", LIVE)
    assert (site.fates.gone, site.fates.failed) == (["acme"], [])


# --- a store that cannot be written ---------------------------------------------------------


class ReportsHang(MemoryLedger):
    """Everything is read; no step of a handover is ever written."""

    async def report(
        self, report: HandoverReport, effects: Sequence[SideEffect] = ()
    ) -> HandoverReport:
        await asyncio.Event().wait()
        return report


@pytest.mark.parametrize(("result", "verbs"), [("bridged", ["Hangup"]), ("queue-full", ["Dial"])])
async def test_what_cannot_be_written_in_time_is_answered_all_the_same(
    serve: ServeSite, result: str, verbs: list[str]
) -> None:
    """Whoever was just talked to is not sent on to today's flow, as if they had arrived nowhere."""
    ledger = ReportsHang(lambda: NOW, lambda: "token-1")
    site = await serve(ledger=ledger)
    await keep(ledger, "on_call", "duty_phone")
    assert (await site.post(step(), queue(result))).verbs == verbs


class DecisionsHang(MemoryLedger):
    """A database that takes questions and never answers."""

    async def decision(self, call_sid: str, hop: int | None = None) -> StoredDecision | None:
        await asyncio.Event().wait()
        return await super().decision(call_sid, hop)


@pytest.mark.parametrize(("result", "over"), [("bridged", True), ("queue-full", False)])
async def test_while_nobody_can_be_asked_only_those_who_arrived_nowhere_go_to_todays_flow(
    serve: ServeSite, result: str, over: bool
) -> None:
    site = await serve(ledger=DecisionsHang(lambda: NOW, lambda: "token-1"))
    answer = await site.post(step(), queue(result))
    if over:
        assert answer.verbs == ["Hangup"]
    else:
        assert answer.redirect == TODAY
