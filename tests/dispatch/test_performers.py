"""Side effects carried out, on real sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dispatch.chain import NamedRoute
from dispatch.context import CallContext
from dispatch.effects import WantedEffect, look_backs, side_effects
from dispatch.mail import MailSettings
from dispatch.performers import Effect, PerformError, performers
from dispatch.policy import TenantPolicy
from tests.dispatch.wires import (
    NOW,
    SAID,
    Mailbox,
    decided,
    free_port,
    mail_server,
    rest_of,
    twilio,
)

Effects = Callable[[str], list[WantedEffect]]


@pytest.fixture
def effects(policy: TenantPolicy, call: Callable[..., CallContext]) -> Effects:
    def of(name: str) -> list[WantedEffect]:
        decision, envelope = decided(policy, call(turns=SAID))
        chosen = NamedRoute(name, policy.routes[name])
        return list(side_effects(replace(decision, chosen=chosen), envelope))

    return of


def attempt(wanted: WantedEffect, *, in_doubt: bool = False) -> Effect:
    return Effect(wanted.payload, "CA1/0/kind/key", NOW, in_doubt)


async def test_a_wanted_task_is_made_and_not_made_again(effects: Effects) -> None:
    (wanted,) = effects("call_back")
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        create = performers(rest, None)["callback_task"]
        sid = await create(attempt(wanted))
        assert await create(attempt(wanted, in_doubt=True)) == sid
        assert [task.sid for task in simulated.tasks] == [sid]


async def test_a_page_is_sent_as_a_text_message(effects: Effects) -> None:
    sms, _ = effects("page_owner")
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        sid = await performers(rest, None)["sms"](attempt(sms))
        (message,) = simulated.messages
    assert (message.sid, message.fields["To"]) == (sid, "+14155550112")
    assert message.fields["Body"].startswith("ACME Plumbing: billing.")


async def test_a_page_is_sent_as_an_email(effects: Effects) -> None:
    _, email = effects("page_owner")
    async with mail_server(Mailbox()) as mailbox:
        settings = MailSettings("127.0.0.1", mailbox.port, "triage@acme.example", "none")
        result = await performers(None, settings)["email"](attempt(email))
    (message,) = mailbox.taken
    assert mailbox.recipients == ["owner@acme-plumbing.example"]
    assert message["From"] == "triage@acme.example"
    assert message["To"] == "owner@acme-plumbing.example"
    assert message["Subject"] == "billing: ACME Plumbing, TR-20260812-0042"
    assert message["Message-ID"] == result
    assert "caller: I was charged twice." in message.get_payload()


async def test_each_attempt_at_one_email_has_the_same_message_id(effects: Effects) -> None:
    _, email = effects("page_owner")
    async with mail_server(Mailbox()) as mailbox:
        settings = MailSettings("127.0.0.1", mailbox.port, "triage@acme.example", "none")
        send = performers(None, settings)["email"]
        first = await send(attempt(email))
        assert await send(attempt(email, in_doubt=True)) == first
        other = await send(replace(attempt(email), identity="another"))
    assert other != first


# --- what goes wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "index", "kind", "words"),
    [
        ("call_back", 0, "callback_task", "no credentials of Twilio's REST API are set"),
        ("page_owner", 0, "sms", "no credentials of Twilio's REST API are set"),
        ("page_owner", 1, "email", "SMTP_URL and SMTP_FROM are not set"),
    ],
)
async def test_what_is_not_set_up_is_given_up(
    effects: Effects, route: str, index: int, kind: str, words: str
) -> None:
    perform = dict(performers(None, None))
    with pytest.raises(PerformError, match=words) as error:
        await perform[kind](attempt(effects(route)[index]))
    assert error.value.for_good


async def test_a_refusal_of_twilio_is_for_good(effects: Effects) -> None:
    sms, _ = effects("page_owner")
    broken = replace(sms, payload={**sms.payload, "body": "x" * 1601})
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        with pytest.raises(PerformError, match="21617") as error:
            await performers(rest, None)["sms"](attempt(broken))
    assert (error.value.for_good, error.value.in_doubt) == (True, False)


async def test_wrong_credentials_may_be_mended(effects: Effects) -> None:
    sms, _ = effects("page_owner")
    async with twilio() as simulated, rest_of(simulated.rest_url, password="wrong") as rest:
        with pytest.raises(PerformError, match="20003") as error:
            await performers(rest, None)["sms"](attempt(sms))
    assert (error.value.for_good, error.value.in_doubt) == (False, False)


async def test_an_unclear_answer_leaves_the_attempt_in_doubt(effects: Effects) -> None:
    sms, _ = effects("page_owner")
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        simulated.rest_faults.fail_next(1, "CreateMessage")
        with pytest.raises(PerformError) as error:
            await performers(rest, None)["sms"](attempt(sms))
    assert (error.value.for_good, error.value.in_doubt) == (False, True)


async def test_a_failed_look_up_leaves_the_doubt_as_it_was(effects: Effects) -> None:
    sms, _ = effects("page_owner")
    async with rest_of(f"http://127.0.0.1:{free_port()}") as rest:
        send = performers(rest, None)["sms"]
        for in_doubt in (True, False):
            with pytest.raises(PerformError) as error:
                await send(attempt(sms, in_doubt=in_doubt))
            assert error.value.in_doubt is in_doubt


async def test_a_payload_that_is_not_ours_is_given_up(effects: Effects) -> None:
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        with pytest.raises(PerformError, match="the payload is wrong: to") as error:
            await performers(rest, None)["sms"](
                Effect({"body": "x", "from_number": "y"}, "id", NOW)
            )
    assert error.value.for_good


@pytest.mark.parametrize(("answer", "for_good"), [("550 no such user", True), ("451 later", False)])
async def test_a_mail_servers_refusal_says_whether_it_is_final(
    effects: Effects, answer: str, for_good: bool
) -> None:
    _, email = effects("page_owner")
    async with mail_server(Mailbox(refuse=answer)) as mailbox:
        settings = MailSettings("127.0.0.1", mailbox.port, "triage@acme.example", "none")
        with pytest.raises(PerformError, match=f"refused with {answer[:3]}") as error:
            await performers(None, settings)["email"](attempt(email))
    assert (error.value.for_good, error.value.in_doubt) == (for_good, False)


async def test_a_mail_server_that_is_not_there_is_tried_again(effects: Effects) -> None:
    _, email = effects("page_owner")
    settings = MailSettings("127.0.0.1", free_port(), "triage@acme.example", "none")
    with pytest.raises(PerformError, match="did not answer") as error:
        await performers(None, settings)["email"](attempt(email))
    assert (error.value.for_good, error.value.in_doubt) == (False, False)


async def test_the_task_of_a_live_call_is_found_and_its_absence_is_no_success(
    policy: TenantPolicy, call: Callable[..., CallContext]
) -> None:
    decision, envelope = decided(policy, call(turns=SAID))
    (wanted,) = look_backs(decision, envelope)
    made_by_us = side_effects(
        replace(decision, chosen=NamedRoute("call_back", policy.routes["call_back"])), envelope
    )
    async with twilio() as simulated, rest_of(simulated.rest_url) as rest:
        perform = performers(rest, None)
        await perform["callback_task"](attempt(made_by_us[0]))
        with pytest.raises(PerformError, match="no Task of call CA") as told:
            await perform["look_back"](attempt(wanted))
        assert not told.value.for_good
        router = simulated.exchange.taskrouter
        task = router.create(
            workflow_sid="WW" + "0" * 32,
            attributes={"call_sid": envelope.call.call_sid},
        )
        assert await perform["look_back"](attempt(wanted)) == task.sid
