"""``<Connect><Stream>``: the media socket as a verb of the call's document."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loadtest.twilio import signature, wire
from loadtest.twilio.leg import Interrupted, Next, method_of
from loadtest.twilio.notices import Code
from loadtest.twilio.origins import UnreachableOriginError
from loadtest.twilio.stream import Handshake, MediaStream
from loadtest.twilio.stream_report import StreamEnd, StreamReport
from loadtest.twilio.twiml import Element

if TYPE_CHECKING:
    from loadtest.twilio.call import CallLeg

USER_AGENT = "Twilio.TmeWs/1.0"


async def connect(call: CallLeg, verb: Element) -> Next:
    """Stream until the server or the call ends it; then the action, or the next verb."""
    noun = next(verb.nouns("Stream"), None)
    if noun is None:
        return None
    await _run(call, noun)
    return call.action(verb, "connect action")


async def _run(call: CallLeg, noun: Element) -> None:
    stream = _make(call, noun)
    call.stream = stream
    try:
        if not await _open(call, noun, stream):
            return
        await call.until(stream.ended.wait())
    finally:
        await stream.stop()  # nothing to do where the server has closed
        call.stream = None
        call.streams.append(stream.report)
        if call.recorder is not None:
            call.recorder.assistant_runs(stream.played)
        _tell(call, noun, stream.report)


def _make(call: CallLeg, noun: Element) -> MediaStream:
    faults = call.settings.stream_faults
    parameters = {item.get("name"): item.get("value") for item in noun.nouns("Parameter")}
    report = StreamReport(call.sids.new("MZ"), noun.get("url"), {**parameters, **faults.parameters})
    identity = wire.StreamIdentity(
        report.stream_sid,
        faults.account_sid or call.settings.account_sid,
        faults.call_sid or call.sid,
        report.parameters,
    )
    encoder = wire.Encoder(identity, call.settings.first_timestamp_ms)
    return MediaStream(report, encoder, call.line, call.journal, faults)


async def _open(call: CallLeg, noun: Element, stream: MediaStream) -> bool:
    """Check the URL as Twilio would, then open the socket, signed."""
    url = stream.report.url
    parts = urlsplit(url)
    schemes = ("wss", "ws") if call.settings.plain_ws else ("wss",)
    if parts.scheme not in schemes or not parts.netloc:
        stream.refuse(Code.STREAM_HANDSHAKE, f"Stream url is {url!r}, expected an absolute wss URL")
        return False
    if parts.query:
        stream.refuse(Code.STREAM_HANDSHAKE, "Stream url has a query string: not supported")
        return False
    if noun.get("track", "inbound_track") != "inbound_track":
        stream.refuse(Code.STREAM_HANDSHAKE, "Stream track is not inbound_track")
        return False
    try:
        handshake = _handshake(call, url)
    except UnreachableOriginError as error:
        stream.refuse(Code.STREAM_CONNECT_REFUSED, str(error))
        return False
    call.journal.event("stream_opening", url=url)
    opened = await _connect(call, stream, handshake)
    _tell(call, noun, stream.report)
    return opened


async def _connect(call: CallLeg, stream: MediaStream, handshake: Handshake) -> bool:
    connecting = asyncio.ensure_future(stream.connect(handshake))
    try:
        return await call.until(asyncio.shield(connecting))
    except Interrupted:
        # A handshake under way cannot be taken back: see it through, it has its own deadline.
        await connecting
        raise
    finally:
        connecting.cancel()
        await asyncio.wait({connecting})


def _handshake(call: CallLeg, url: str) -> Handshake:
    settings = call.settings
    to = settings.origins.destination(url)
    headers = {"Host": to.host, "User-Agent": USER_AGENT}
    signed = signature.signature_for(url, {}, settings.auth_token, settings.stream_signing)
    if signed is not None:
        # Real requests carry the name in lower case here.
        headers[signature.HEADER.lower()] = signed
    return Handshake(
        to.address,
        headers,
        settings.ssl_context,
        settings.offer_deflate,
        settings.connect_timeout_s,
    )


def _tell(call: CallLeg, noun: Element, report: StreamReport) -> None:
    """The stream's status callback: started, stopped or error."""
    url = noun.get("statusCallback")
    if not url:
        return
    params = {
        "AccountSid": call.settings.account_sid,
        "CallSid": call.sid,
        "StreamSid": report.stream_sid,
        "StreamName": noun.get("name") or report.stream_sid,
        "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    if report.end is StreamEnd.REFUSED:
        params |= {"StreamEvent": "stream-error", "StreamError": "connection failed"}
    elif report.end is None:
        params["StreamEvent"] = "stream-started"
    else:
        params["StreamEvent"] = "stream-stopped"
    call.notify("stream status", url, method_of(noun, "statusCallbackMethod"), params)
