"""The TwiML that moves a call. Builds text, sends nothing; results.py reads the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never
from urllib.parse import urlencode

from twilio.twiml.voice_response import (  # type: ignore[import-untyped]
    Dial,
    Enqueue,
    Gather,
    VoiceResponse,
)

from dispatch.attributes import SMALLEST_LIMIT, TASK_LIMIT, pack, return_parameters
from dispatch.decision import Decision
from dispatch.envelope import Envelope
from dispatch.routes import (
    CallbackTaskRoute,
    DialRoute,
    FlexRoute,
    PageRoute,
    ResolveRoute,
    StudioExecutionRoute,
    StudioReturnRoute,
    StudioTriggerRoute,
    VoicemailRoute,
)
from dispatch.text import Spoken, cut, width, with_tag

INLINE_LIMIT = 4000
"""Characters of a whole document that is sent inline by REST."""
REFERENCE = "{reference}"
"""In what an operator has said to a caller, the call's reference stands in its place."""
_WHISPER_SUMMARY = 300
_WHISPER_WAIT_S = 6


@dataclass(frozen=True, slots=True)
class CallbackUrls:
    """Our own addresses, absolute, and the one of Studio's webhooks.

    ``action`` hears how Enqueue, Dial or Record ended; ``whisper`` serves what the callee hears,
    ``accept`` the callee's key; ``recording`` and ``transcription`` get those when ready.
    """

    action: str
    whisper: str
    accept: str
    recording: str
    transcription: str
    studio: str = "https://webhooks.twilio.com"


def render(
    decision: Decision, envelope: Envelope, urls: CallbackUrls, *, limit: int | None = None
) -> str:
    """The document that carries out ``decision``.

    ``limit`` is the size of the whole document where Twilio has one (INLINE_LIMIT by REST); the
    attributes shrink until it is kept. ValueError where even the smallest is too large.
    """
    room = TASK_LIMIT
    while True:
        document = str(_document(decision, envelope, urls, room))
        excess = width(document) - limit if limit is not None else 0
        if excess <= 0:
            return document
        if room <= SMALLEST_LIMIT or not isinstance(decision.route, FlexRoute):
            raise ValueError(f"the document has {width(document)} characters, allowed are {limit}")
        room = max(SMALLEST_LIMIT, min(room, width(document)) - excess)


def _document(
    decision: Decision, envelope: Envelope, urls: CallbackUrls, room: int
) -> VoiceResponse:
    response = VoiceResponse()
    _add(response, decision, envelope, urls, room)
    return response


def _add(
    response: VoiceResponse,
    decision: Decision,
    envelope: Envelope,
    urls: CallbackUrls,
    room: int,
) -> None:
    route = decision.route
    match route:
        case StudioReturnRoute() | StudioTriggerRoute():
            response.redirect(studio_address(decision, envelope, urls.studio), method="POST")
        case FlexRoute():
            _enqueue(response, route, pack(decision, envelope, limit=room), decision.priority, urls)
        case DialRoute():
            _dial(response, route, urls)
        case VoicemailRoute():
            _record(response, route, envelope, urls)
        case StudioExecutionRoute() | CallbackTaskRoute() | ResolveRoute():
            _say(response, route.say, envelope)
            response.hangup()
        case PageRoute():
            _say(response, route.say, envelope)
            _after_page(response, decision, envelope, urls, room)
        case _:
            assert_never(route)


def _after_page(
    response: VoiceResponse,
    decision: Decision,
    envelope: Envelope,
    urls: CallbackUrls,
    room: int,
) -> None:
    following = decision.after_page()
    if following is None:
        response.hangup()
    else:
        _add(response, following, envelope, urls, room)


# --- one route each -------------------------------------------------------------------------


def studio_address(decision: Decision, envelope: Envelope, studio: str) -> str:
    """Where Studio takes the call: back into its waiting flow, or into a flow anew.

    A trigger's parameters may not arrive; flows look the call up by its SID instead.
    """
    call = envelope.call
    match decision.route:
        case StudioReturnRoute(flow_sid=own):
            flow, event = own or call.studio_flow, {"FlowEvent": "return"}
        case StudioTriggerRoute(flow_sid=own):
            flow, event = own, {"Trigger": "incomingCall"}
        case _:
            raise ValueError(f"a {decision.route.kind} route has no Studio address")
    query = urlencode(event | return_parameters(decision, envelope))
    return f"{studio}/v1/Accounts/{call.account_sid}/Flows/{flow}?{query}"


def _enqueue(
    response: VoiceResponse, route: FlexRoute, attributes: str, priority: int, urls: CallbackUrls
) -> None:
    enqueue = Enqueue(
        None,
        workflow_sid=route.workflow_sid,
        action=urls.action,
        method="POST",
        wait_url=route.wait_url,
    )
    enqueue.task(attributes, priority=priority, timeout=route.timeout_s)
    response.append(enqueue)


def _dial(response: VoiceResponse, route: DialRoute, urls: CallbackUrls) -> None:
    dial = Dial(
        action=urls.action,
        method="POST",
        timeout=route.timeout_s,
        caller_id=route.caller_id,
        answer_on_bridge=True,
    )
    # The callee hears our document before the parties are connected.
    first = urls.whisper if route.whisper or route.accept_digit else None
    if route.number is not None:
        dial.number(route.number, url=first, method="POST" if first else None)
    else:
        dial.sip(route.sip, url=first, method="POST" if first else None)
    response.append(dial)


def _record(
    response: VoiceResponse, route: VoicemailRoute, envelope: Envelope, urls: CallbackUrls
) -> None:
    _say(response, route.prompt, envelope)
    response.record(
        action=urls.action,
        method="POST",
        max_length=route.max_length_s,
        timeout=route.silence_s,
        play_beep=True,
        recording_status_callback=urls.recording,
        recording_status_callback_method="POST",
        transcribe=True if route.transcribe else None,
        transcribe_callback=urls.transcription if route.transcribe else None,
    )
    # Reached only where nothing was recorded; otherwise the action follows.
    _say(response, route.goodbye, envelope)
    response.hangup()


def _say(response: VoiceResponse | Gather, spoken: Spoken, envelope: Envelope) -> None:
    text, tag = with_tag(spoken, envelope.language, default=envelope.home_language)
    if text:
        response.say(text.replace(REFERENCE, spelled(envelope.reference)), language=tag)


def spelled(reference: str) -> str:
    """A reference as it is read out: "T R, 2 0 2 6 0 8 1 2, 0 0 4 2" for ``TR-20260812-0042``."""
    return ", ".join(" ".join(part) for part in reference.split("-"))


# --- the callee's side of a Dial ------------------------------------------------------------


def whisper(route: DialRoute, envelope: Envelope, urls: CallbackUrls) -> str:
    """What the callee hears before being connected: the summary, and how to accept.

    Without the key the callee's leg ends, and the Dial's action hears that nobody was connected.
    """
    response = VoiceResponse()
    words = _whispered(route, envelope)
    if not route.accept_digit:
        response.say(words, language=envelope.home_language)
        return str(response)
    gather = Gather(
        num_digits=1, action=urls.accept, method="POST", timeout=_WHISPER_WAIT_S, input="dtmf"
    )
    gather.say(f"{words} Press {route.accept_digit} to accept.", language=envelope.home_language)
    gather.pause(length=1)
    gather.say(f"Press {route.accept_digit} to accept.", language=envelope.home_language)
    response.append(gather)
    response.hangup()
    return str(response)


def _whispered(route: DialRoute, envelope: Envelope) -> str:
    if not route.whisper:
        return f"Call for {envelope.business}."
    who = f" from {envelope.name}" if envelope.name else ""
    return f"Call for {envelope.business}{who}. {cut(envelope.summary, _WHISPER_SUMMARY)}"


def accepted(route: DialRoute, digits: str) -> str:
    """The answer to the callee's key: an empty document connects, anything else hangs up."""
    response = VoiceResponse()
    if digits != route.accept_digit:
        response.hangup()
    return str(response)


# --- documents that no decision stands behind -----------------------------------------------


def hang_up() -> str:
    response = VoiceResponse()
    response.hangup()
    return str(response)


def after_recording(route: VoicemailRoute, envelope: Envelope) -> str:
    """The goodbye after a voicemail."""
    response = VoiceResponse()
    _say(response, route.goodbye, envelope)
    response.hangup()
    return str(response)
