"""The TwiML of the web side: on to the media socket, on to today's flow, or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass

from twilio.twiml.voice_response import (  # type: ignore[import-untyped]
    Connect,
    VoiceResponse,
)

APOLOGY = "We are sorry, nobody can take your call right now. Please call again later."
RETRIED = "#rc=2&rp=all"
"""Behind an address that must be reached: Twilio asks again when no answer came, for example from
a process that was killed while it answered. All our answers are the same however often asked."""
TOKEN_PARAMETER = "token"  # noqa: S105 - a name, not a token


@dataclass(frozen=True, slots=True)
class StreamUrls:
    """Our own addresses, absolute: the media socket, what follows it, and who hears of it."""

    media: str
    after: str
    status: str


def connect_stream(urls: StreamUrls, token: str, today: str | None) -> str:
    """To the media socket. Behind it stands today's flow, should ``urls.after`` not be reached."""
    response = VoiceResponse()
    connect = Connect(action=urls.after + RETRIED, method="POST")
    stream = connect.stream(
        url=urls.media, status_callback=urls.status, status_callback_method="POST"
    )
    stream.parameter(name=TOKEN_PARAMETER, value=token)
    response.append(connect)
    _move(response, today)
    return str(response)


def move(today: str | None) -> str:
    """To today's flow; where there is none, the caller is told so."""
    response = VoiceResponse()
    _move(response, today)
    return str(response)


def nothing() -> str:
    """For a call that nobody is in any more."""
    return str(VoiceResponse())


def _move(response: VoiceResponse, today: str | None) -> None:
    if today is not None:
        response.redirect(today, method="POST")
        return
    response.say(APOLOGY)
    response.hangup()
