"""Documents: what is fetched, with which parameters and signature, and what runs next."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Mapping

import pytest
from starlette.responses import Response
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

import audiocodecs
from loadtest.twilio import (
    CallerHungUp,
    CallResult,
    CallScript,
    DocumentError,
    FellOffTheEnd,
    HangUp,
    Hangup,
    Outcome,
    PhoneNumber,
    Press,
    Rejected,
    Settings,
    Signing,
    SimulatedTwilio,
    StudioReturn,
    StudioTrigger,
    WaitMs,
)
from tests.loadtest.twilio.conftest import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    FLOW_SID,
    PUBLIC,
    STUDIO,
    Application,
    MediaServer,
    Socket,
    response,
)


def valid(application: Application, index: int = 0, token: str = AUTH_TOKEN) -> bool:
    """Twilio's own check of a request, with the public URL it was sent to."""
    seen = application.seen[index]
    url = f"https://{PUBLIC}{seen.target}"
    signature = seen.headers.get("x-twilio-signature")
    return bool(RequestValidator(token).validate(url, seen.params, signature))


async def test_the_voice_webhook_has_twilios_parameters_and_a_valid_signature(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response("<Hangup/>")
    result = await twilio.place_call(CallScript(from_number="+14155550123"))
    (seen,) = application.seen
    expected = {
        "AccountSid": ACCOUNT_SID,
        "ApiVersion": "2010-04-01",
        "CallSid": result.call_sid,
        "CallStatus": "ringing",
        "Called": "+14155550100",
        "Caller": "+14155550123",
        "Direction": "inbound",
        "From": "+14155550123",
        "To": "+14155550100",
    }
    assert expected.items() <= seen.params.items()
    assert seen.method == "POST"
    assert seen.headers["host"] == PUBLIC
    assert valid(application)
    assert result.outcomes == (Hangup(),)
    assert result.errors == ()


async def test_a_get_webhook_carries_its_parameters_in_the_signed_url(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response("<Hangup/>")
    number = PhoneNumber(f"https://{PUBLIC}/voice?tenant=a%20b", voice_method="GET")
    result = await twilio.place_call(CallScript(), number=number)
    assert application.seen[0].method == "GET"
    assert application.seen[0].target.startswith("/voice?tenant=a%20b&AccountSid=AC")
    assert valid(application)
    assert result.outcomes == (Hangup(),)


@pytest.mark.parametrize("signing", [Signing.WRONG, Signing.MISSING])
async def test_a_request_can_be_signed_wrongly_or_not_at_all(
    settings: Settings, number: PhoneNumber, application: Application, signing: Signing
) -> None:
    application.replies["/voice"] = Response("no", status_code=403)
    changed = dataclasses.replace(settings, webhook_signing=signing)
    async with SimulatedTwilio(changed, number) as twilio:
        result = await twilio.place_call(CallScript())
    assert not application.seen[0].headers.get("x-twilio-signature") or not valid(application)
    assert isinstance(result.outcome, DocumentError)
    assert result.outcome.code == 11200


async def test_relative_urls_count_from_the_document_they_stand_in(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response("<Redirect>menu/first?a=1&amp;b=2</Redirect>")
    application.replies["/menu/first"] = response('<Redirect method="GET">second</Redirect>')
    application.replies["/menu/second"] = response("<Redirect>/third</Redirect>")
    application.replies["/third"] = response("<Hangup/>")
    await twilio.place_call(CallScript())
    asked = [(seen.method, seen.target.partition("?")[0]) for seen in application.seen]
    assert asked == [
        ("POST", "/voice"),
        ("POST", "/menu/first"),
        ("GET", "/menu/second"),
        ("POST", "/third"),
    ]
    assert all(valid(application, index) for index in range(4))


async def test_the_call_is_in_progress_from_the_first_verb_that_answers_it(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response("<Redirect>/ringing</Redirect>")
    application.replies["/ringing"] = response("<Say>hello</Say>", "<Redirect>/on</Redirect>")
    application.replies["/on"] = response("<Hangup/>")
    await twilio.place_call(CallScript())
    statuses = [seen.params["CallStatus"] for seen in application.seen]
    assert statuses == ["ringing", "ringing", "in-progress"]


async def test_a_call_can_be_rejected_before_it_is_answered(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response('<Reject reason="busy"/>')
    result = await twilio.place_call(CallScript())
    assert result.outcomes == (Rejected("busy"),)
    assert "call_answered" not in [event.kind for event in result.timeline]


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        (
            f"{STUDIO}?FlowEvent=return&amp;intent=billing&amp;note=a%20b",
            StudioReturn(FLOW_SID, {"intent": "billing", "note": "a b"}),
        ),
        (f"{STUDIO}?Trigger=incomingCall", StudioTrigger(FLOW_SID, {})),
        (STUDIO, StudioTrigger(FLOW_SID, {})),
    ],
    ids=["return", "trigger", "plain"],
)
async def test_studios_addresses_are_where_a_call_goes_and_are_not_asked(
    twilio: SimulatedTwilio, application: Application, url: str, outcome: Outcome
) -> None:
    application.replies["/voice"] = response(f"<Redirect>{url}</Redirect>")
    result = await twilio.place_call(CallScript())
    assert result.outcomes == (outcome,)
    assert [call.purpose for call in result.webhooks] == ["voice"]


@pytest.mark.parametrize(
    "url",
    [f"{STUDIO}?FlowEvent=done", "https://webhooks.twilio.com/v1/Flows/FW1"],
    ids=["unknown event", "not a flow"],
)
async def test_a_studio_address_that_leads_nowhere_is_an_error(
    twilio: SimulatedTwilio, application: Application, url: str
) -> None:
    application.replies["/voice"] = response(f"<Redirect>{url}</Redirect>")
    result = await twilio.place_call(CallScript())
    assert isinstance(result.outcome, DocumentError)


async def test_an_empty_document_ends_the_call(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response()
    assert (await twilio.place_call(CallScript())).outcomes == (FellOffTheEnd(),)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Response("gone", status_code=500), 11200),
        (Response("", status_code=302, headers={"location": "/x"}), 11200),
        (Response("<Response/>", media_type="application/json"), 12300),
        ("<Response>", 12100),
        ("<Answer/>", 12100),
        ('<!DOCTYPE x [<!ENTITY a "b">]><Response>&a;</Response>', 12100),
    ],
    ids=["status", "redirect", "type", "not closed", "other root", "entities"],
)
async def test_no_usable_document_is_an_error_with_twilios_code(
    twilio: SimulatedTwilio, application: Application, reply: str | Response, code: int
) -> None:
    application.replies["/voice"] = reply
    result = await twilio.place_call(CallScript())
    assert isinstance(result.outcome, DocumentError)
    assert (result.outcome.code, [notice.code for notice in result.errors]) == (code, [code])


async def test_an_application_that_is_not_there_is_an_error(settings: Settings) -> None:
    async with SimulatedTwilio(settings, PhoneNumber("http://127.0.0.1:1/voice")) as twilio:
        result = await twilio.place_call(CallScript())
    assert [notice.code for notice in result.errors] == [11205]


async def test_a_host_that_may_not_be_called_is_not_called(settings: Settings) -> None:
    async with SimulatedTwilio(settings, PhoneNumber("https://other.example/voice")) as twilio:
        result = await twilio.place_call(CallScript())
    (notice,) = result.errors
    assert notice.message == (
        "https://other.example is neither loopback nor among the origins the simulator may call"
    )


async def test_an_address_that_says_so_is_asked_again(
    settings: Settings, application: Application
) -> None:
    answers: Iterator[str | Response] = iter(
        [Response("gone", status_code=502), response("<Hangup/>")]
    )
    application.replies["/voice"] = lambda _params: next(answers)
    number = PhoneNumber(f"https://{PUBLIC}/voice#rc=2&rp=all")
    async with SimulatedTwilio(settings, number) as twilio:
        result = await twilio.place_call(CallScript())
    first, second = application.seen
    header = "I-Twilio-Idempotency-Token"
    assert first.headers[header] == second.headers[header]
    assert isinstance(result.outcome, Hangup)


async def test_the_fallback_url_is_asked_once_and_told_what_failed(
    settings: Settings, application: Application
) -> None:
    application.replies["/voice"] = Response("gone", status_code=500)
    application.replies["/fallback"] = response("<Redirect>/voice</Redirect>")
    number = PhoneNumber(f"https://{PUBLIC}/voice", fallback_url=f"https://{PUBLIC}/fallback")
    async with SimulatedTwilio(settings, number) as twilio:
        result = await twilio.place_call(CallScript())
    assert [seen.path for seen in application.seen] == ["/voice", "/fallback", "/voice"]
    told = application.seen[1].params
    assert (told["ErrorCode"], told["ErrorUrl"]) == ("11200", f"https://{PUBLIC}/voice")
    assert isinstance(result.outcome, DocumentError)


async def test_unknown_verbs_and_attributes_are_errors_and_are_left_out(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(
        '<Sing volume="11"/>',
        '<Say mood="glad">x</Say>',
        '<Pause length="long"/>',
        '<Connect><Room name="a"/></Connect>',
        "<Hangup/>",
    )
    result = await twilio.place_call(CallScript(steps=[WaitMs(5000)]))
    assert [(notice.code, notice.message) for notice in result.errors] == [
        (12200, "Sing is not known inside Response"),
        (12200, "Say has no attribute mood"),
        (12200, "Pause length is 'long', expected a number"),
        (12200, "Room is not known inside Connect"),
        (12200, "Connect has 0 nouns, expected 1"),
    ]
    assert result.outcomes == (Hangup(),)


async def test_a_parameter_of_500_characters_is_an_error(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(
        f'<Connect><Stream url="wss://{PUBLIC}/media">'
        f'<Parameter name="token" value="{"x" * 495}"/></Stream></Connect>'
    )
    result = await twilio.place_call(CallScript(steps=[HangUp()]))
    assert [notice.message for notice in result.errors] == [
        "Parameter 'token': name and value are 500 characters long, expected fewer than 500"
    ]


async def test_documents_that_lead_in_a_circle_come_to_an_end(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response("<Redirect>/voice</Redirect>")
    result = await twilio.place_call(CallScript())
    assert isinstance(result.outcome, DocumentError)
    assert result.outcome.message == "more than 100 documents in one call"
    assert len(application.seen) == 100


async def test_keys_are_gathered_up_to_the_number_wanted(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(
        '<Gather numDigits="2" action="/keys"><Say>press</Say></Gather>'
    )
    application.replies["/keys"] = response("<Hangup/>")
    await twilio.place_call(CallScript(steps=[Press("427")]))
    assert [seen.params["Digits"] for seen in application.asked("/keys")] == ["42"]


async def test_a_finish_key_ends_gathering_and_is_not_a_digit(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response('<Gather action="/keys"/>')
    application.replies["/keys"] = response("<Hangup/>")
    await twilio.place_call(CallScript(steps=[Press("9#")]))
    assert [seen.params["Digits"] for seen in application.asked("/keys")] == ["9"]


async def test_without_keys_the_verb_after_gather_runs(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response('<Gather timeout="0" action="/keys"/>', "<Hangup/>")
    result = await twilio.place_call(CallScript())
    assert result.outcomes == (Hangup(),)
    assert application.asked("/keys") == []


async def test_a_caller_can_leave_during_any_verb(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response('<Pause length="60"/>', "<Hangup/>")
    result = await twilio.place_call(CallScript(steps=[WaitMs(20), HangUp()]))
    assert result.outcomes == (CallerHungUp("caller"),)


async def test_the_status_callback_hears_of_the_end(
    settings: Settings, application: Application
) -> None:
    application.replies["/voice"] = response("<Hangup/>")
    application.replies["/status"] = ""
    number = PhoneNumber(f"https://{PUBLIC}/voice", status_callback=f"https://{PUBLIC}/status")
    async with SimulatedTwilio(settings, number) as twilio:
        result = await twilio.place_call(CallScript())
    (told,) = application.asked("/status")
    assert told.params["CallStatus"] == "completed"
    assert told.params["CallSid"] == result.call_sid
    assert int(told.params["CallDuration"]) >= 1
    assert valid(application, 1)


async def test_parameters_of_the_script_go_with_every_webhook(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response("<Redirect>/next</Redirect>")
    application.replies["/next"] = response("<Hangup/>")
    await twilio.place_call(CallScript(params={"FlowSid": FLOW_SID}))
    assert [seen.params["FlowSid"] for seen in application.seen] == [FLOW_SID, FLOW_SID]


async def test_what_was_asked_and_answered_is_in_the_result(
    twilio: SimulatedTwilio, application: Application
) -> None:
    def answer(params: Mapping[str, str]) -> str:
        return response("<Hangup/>") if params["CallStatus"] == "ringing" else ""

    application.replies["/voice"] = answer
    result: CallResult = await twilio.place_call(CallScript())
    (call,) = result.webhooks
    assert (call.purpose, call.method, call.url) == ("voice", "POST", f"https://{PUBLIC}/voice")
    assert call.answer is not None
    assert call.answer.body == response("<Hangup/>").encode()
    assert call.params["CallSid"] == result.call_sid


async def test_a_simulator_that_is_not_running_says_so(settings: Settings) -> None:
    with pytest.raises(RuntimeError, match="use it as `async with`"):
        await SimulatedTwilio(settings).place_call(CallScript())


async def test_a_repeated_webhook_carries_the_same_token_twice(
    settings: Settings, number: PhoneNumber, application: Application
) -> None:
    application.replies["/voice"] = response("<Redirect>/next</Redirect>")
    application.replies["/next"] = response("<Hangup/>")
    changed = dataclasses.replace(settings, repeated_webhooks=frozenset({"voice"}))
    async with SimulatedTwilio(changed, number) as twilio:
        await twilio.place_call(CallScript())
    assert [seen.path for seen in application.seen] == ["/voice", "/voice", "/next"]
    first, again, other = [seen.headers["i-twilio-idempotency-token"] for seen in application.seen]
    assert first == again
    assert other != first


async def test_an_application_that_does_not_answer_in_time_is_an_error(
    settings: Settings, number: PhoneNumber, application: Application
) -> None:
    application.held = asyncio.Event()
    impatient = dataclasses.replace(settings, webhook_timeout_s=0.1)
    async with SimulatedTwilio(impatient, number) as twilio:
        result = await twilio.place_call(CallScript())
    application.held.set()
    assert [(notice.code, notice.message) for notice in result.errors] == [
        (11205, "no answer within 0.1 s")
    ]


async def test_what_studio_does_with_the_call_can_be_scripted(
    twilio: SimulatedTwilio, application: Application
) -> None:
    application.replies["/voice"] = response(f"<Redirect>{STUDIO}?FlowEvent=return</Redirect>")
    back = response(f"<Redirect>https://{PUBLIC}/voice</Redirect>")
    result = await twilio.place_call(CallScript(after_studio=[back, response("<Hangup/>")]))
    assert [seen.path for seen in application.seen] == ["/voice", "/voice"]
    returned = StudioReturn(FLOW_SID, {})
    assert result.outcomes == (returned, returned, Hangup())
    assert result.outcome == returned


async def test_a_connect_action_may_be_studio_itself(
    twilio: SimulatedTwilio, application: Application, media: MediaServer
) -> None:
    async def close(socket: Socket) -> None:
        await socket.until("start")

    media.behaviour = close
    application.replies["/voice"] = response(
        f'<Connect action="{STUDIO}?Trigger=incomingCall">'
        f'<Stream url="wss://{PUBLIC}/media"/></Connect>'
    )
    result = await twilio.place_call(CallScript())
    assert result.outcome == StudioTrigger(FLOW_SID, {})


async def test_play_fetches_what_is_to_be_played(
    twilio: SimulatedTwilio, application: Application
) -> None:
    wav = audiocodecs.encode_wav(audiocodecs.WavAudio(b"\xff" * 800))
    application.replies["/hold.wav"] = Response(wav, media_type="audio/wav")
    application.replies["/voice"] = response("<Play>/hold.wav</Play>", "<Hangup/>")
    result = await twilio.place_call(CallScript())
    assert [(seen.method, seen.path) for seen in application.seen] == [
        ("POST", "/voice"),
        ("GET", "/hold.wav"),
    ]
    assert result.outcomes == (Hangup(),)
    assert result.errors == ()
    assert result.duration_ms >= 100


async def test_what_cannot_be_played_is_told_and_the_call_goes_on(
    settings: Settings, number: PhoneNumber, application: Application
) -> None:
    application.replies["/text"] = "<Response/>"
    application.replies["/voice"] = response("<Play>/gone</Play><Play>/text</Play>", "<Hangup/>")
    quick = dataclasses.replace(settings, unknown_play_ms=0)
    async with SimulatedTwilio(quick, number) as twilio:
        result = await twilio.place_call(CallScript())
    assert [notice.code for notice in result.errors] == [11200, 11200]
    assert result.outcomes == (Hangup(),)
