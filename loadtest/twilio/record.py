"""``<Record>``: a voicemail, ended by silence, a key, its length, or the caller."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.twilio.audio import Frame, is_audible
from loadtest.twilio.leg import Goto, HungUp, Interrupted, Next, method_of
from loadtest.twilio.outcomes import Voicemail
from loadtest.twilio.twiml import Element
from loadtest.twilio.wire import BYTES_PER_MS

if TYPE_CHECKING:
    from loadtest.twilio.call import CallLeg

_MAX_LENGTH_S = 3600
_ANY_KEY = "1234567890*#"
TRANSCRIBED = "This is what the caller said."
"""The simulator understands no speech."""


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording as the REST API would give it out."""

    sid: str
    call_sid: str
    url: str
    ulaw: bytes

    @property
    def duration_ms(self) -> int:
        return len(self.ulaw) // BYTES_PER_MS


async def record(call: CallLeg, verb: Element) -> Next:
    """Record the caller. An empty recording asks no action: the next verb follows."""
    taping = _Taping(call, verb)
    try:
        ended_by = await taping.run()
    except Interrupted as interrupted:
        if isinstance(interrupted.interruption, HungUp) and taping.heard:
            stored = taping.store("hangup")
            await call.tell(taping.action(stored, "hangup"))
            _report(call, verb, stored)
        raise
    if not taping.heard:
        return None
    stored = taping.store(ended_by)
    _report(call, verb, stored)
    return taping.action(stored, ended_by if len(ended_by) == 1 else "")


class _Taping:
    """Listens on the line while the verb runs."""

    def __init__(self, call: CallLeg, verb: Element) -> None:
        self._call = call
        self._verb = verb
        self._silence_s = verb.number("timeout", 5)
        self._max_s = min(_MAX_LENGTH_S, verb.number("maxLength", _MAX_LENGTH_S))
        self._audio = bytearray()
        self._began = self._last_heard = time.monotonic()
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.heard = False

    async def run(self) -> str:
        """Until it is over: ``silence``, ``length`` or the key pressed."""
        self._call.line.tap = self._frame
        keys = asyncio.ensure_future(self._wait_for_key())
        try:
            return await self._call.until(self._over)
        finally:
            self._call.line.tap = None
            keys.cancel()
            await asyncio.wait({keys})

    def _frame(self, frame: Frame, at: float) -> None:
        self._audio += frame.ulaw
        if is_audible(frame.ulaw):
            self.heard, self._last_heard = True, at
        if at - self._last_heard >= self._silence_s:
            self._end("silence")
        elif at - self._began >= self._max_s:
            self._end("length")

    async def _wait_for_key(self) -> None:
        finish = self._verb.get("finishOnKey", _ANY_KEY)
        while True:
            digit = await self._call.digits.get()
            if digit in finish:
                self._end(digit)

    def _end(self, why: str) -> None:
        if not self._over.done():
            self._over.set_result(why)

    def store(self, ended_by: str) -> StoredRecording:
        """Keep the recording where the REST side finds it."""
        call = self._call
        sid = call.sids.new("RE")
        base = f"https://api.twilio.com/2010-04-01/Accounts/{call.settings.account_sid}"
        stored = StoredRecording(sid, call.sid, f"{base}/Recordings/{sid}", bytes(self._audio))
        call.directory.keep_recording(stored)
        call.arrive(Voicemail(sid, stored.duration_ms, ended_by))
        return stored

    def action(self, stored: StoredRecording, digits: str) -> Goto:
        """Without an action Twilio asks the current document's URL again."""
        call = self._call
        url = call.absolute(self._verb.get("action")) or call.document_url
        params = {
            "RecordingSid": stored.sid,
            "RecordingUrl": stored.url,
            "RecordingDuration": str(round(stored.duration_ms / 1000)),
            "Digits": digits,
        }
        return Goto(url, method_of(self._verb), params, "record action")


def _report(call: CallLeg, verb: Element, stored: StoredRecording) -> None:
    """The recording status callback and the transcription's, told beside the call."""
    url = verb.get("recordingStatusCallback")
    if url:
        params = {
            "AccountSid": call.settings.account_sid,
            "CallSid": call.sid,
            "RecordingSid": stored.sid,
            "RecordingUrl": stored.url,
            "RecordingStatus": "completed",
            "RecordingDuration": str(round(stored.duration_ms / 1000)),
            "RecordingChannels": "1",
            "RecordingSource": "RecordVerb",
            "ErrorCode": "0",
        }
        method = method_of(verb, "recordingStatusCallbackMethod")
        call.notify("recording status", call.absolute(url), method, params)
    if verb.get("transcribe") == "true" or verb.get("transcribeCallback"):
        _transcribe(call, verb, stored)


def _transcribe(call: CallLeg, verb: Element, stored: StoredRecording) -> None:
    url = verb.get("transcribeCallback")
    if url:
        sid = call.sids.new("TR")
        base = f"https://api.twilio.com/2010-04-01/Accounts/{call.settings.account_sid}"
        params = {
            "AccountSid": call.settings.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": call.sid,
            "TranscriptionSid": sid,
            "TranscriptionUrl": f"{base}/Transcriptions/{sid}",
            "TranscriptionStatus": "completed",
            "TranscriptionText": TRANSCRIBED,
            "TranscriptionType": "fast",
            "RecordingSid": stored.sid,
            "RecordingUrl": stored.url,
            "Called": call.params["Called"],
            "Caller": call.params["Caller"],
            "From": call.params["From"],
            "To": call.params["To"],
        }
        call.notify("transcription", call.absolute(url), "POST", params)
