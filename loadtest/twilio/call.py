"""One simulated call from the first webhook to the last: its leg, its people, its supervision."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from loadtest.twilio import caller
from loadtest.twilio.connect import connect
from loadtest.twilio.dial import dial
from loadtest.twilio.directory import Directory
from loadtest.twilio.enqueue import enqueue
from loadtest.twilio.fittings import PLAIN, Fittings
from loadtest.twilio.journal import Journal
from loadtest.twilio.leg import (
    Finish,
    Goto,
    Handler,
    HungUp,
    Inline,
    Leg,
    Next,
    Updated,
)
from loadtest.twilio.line import CallLine
from loadtest.twilio.outcomes import Hangup, Outcome, Rejected
from loadtest.twilio.pacing import PacingWheel
from loadtest.twilio.people import Callee
from loadtest.twilio.record import record
from loadtest.twilio.recorder import Recorder
from loadtest.twilio.result import CallResult
from loadtest.twilio.script import CallScript
from loadtest.twilio.settings import PhoneNumber, Settings
from loadtest.twilio.sids import Sids
from loadtest.twilio.stream import MediaStream
from loadtest.twilio.stream_report import StreamReport
from loadtest.twilio.taskrouter import TaskRouter
from loadtest.twilio.twiml import Element
from loadtest.twilio.verbs import BasicVerbs
from loadtest.twilio.webhooks import Method, WebhookFailed, Webhooks

_CITY = {"City": "SAN FRANCISCO", "State": "CA", "Zip": "94105", "Country": "US"}
_ANSWER_VERBS = frozenset({"Reject", "Redirect"})


class CallLeg(Leg):
    """The inbound leg of one call, with everything its verbs may reach."""

    def __init__(
        self,
        sid: str,
        script: CallScript,
        journal: Journal,
        webhooks: Webhooks,
        exchange: Exchange,
        fittings: Fittings = PLAIN,
    ) -> None:
        settings = exchange.settings
        super().__init__(journal, webhooks, settings, voice_params(sid, settings, script))
        self.sid = sid
        self.script = script
        self.sids = exchange.sids
        self.taskrouter = exchange.taskrouter
        self.directory = exchange.directory
        self.recorder = Recorder(journal.timeline.started) if script.record else None
        self.line = CallLine(journal, self.recorder, script.background, fittings)
        self.stream: MediaStream | None = None
        self.streams: list[StreamReport] = []
        self.outcomes: list[Outcome] = []
        self.status_callback: str | None = None
        self._after_studio = list(script.after_studio)
        self._wheel = exchange.wheel
        self._notifications: set[asyncio.Task[None]] = set()
        self.verbs = self._verb_table()

    def _verb_table(self) -> dict[str, Handler]:
        table: dict[str, Handler] = {
            **BasicVerbs(self).table(),
            "Connect": lambda verb: connect(self, verb),
            "Record": lambda verb: record(self, verb),
            "Enqueue": lambda verb: enqueue(self, verb),
            "Dial": lambda verb: dial(self, verb),
            "Leave": self._leave,
            "Reject": self._reject,
        }
        return {
            name: handler if name in _ANSWER_VERBS else self._answering(handler)
            for name, handler in table.items()
        }

    def _answering(self, handler: Handler) -> Handler:
        async def run(verb: Element) -> Next:
            self.answer()
            return await handler(verb)

        return run

    async def _leave(self, verb: Element) -> Next:
        return Finish(Hangup())

    async def _reject(self, verb: Element) -> Next:
        return Finish(Rejected(verb.get("reason", "rejected")))

    # --- state --------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """ringing, in-progress or completed, as Twilio names it."""
        return self.params["CallStatus"]

    def answer(self) -> None:
        """The first verb that is not about refusing answers the call and opens the line."""
        if self.status == "ringing":
            self.params["CallStatus"] = "in-progress"
            self._wheel.add(self.line)
            self.journal.event("call_answered")
            self.line.bell.ring()

    def end(self) -> None:
        self.params["CallStatus"] = "completed"
        self._wheel.remove(self.line)
        self.line.hush()

    def arrive(self, outcome: Outcome) -> None:
        """The call got somewhere, perhaps not for good."""
        self.outcomes.append(outcome)
        self.journal.event("outcome", outcome=type(outcome).__name__)

    def studio(self, outcome: Outcome) -> Next:
        """Studio has the call: over, or on with what the script lets the flow do."""
        if not self._after_studio:
            return Finish(outcome)
        self.arrive(outcome)
        return Inline(self._after_studio.pop(0).encode())

    def update(self, following: Goto | Inline) -> None:
        """A REST update: the running document is replaced, the call lives."""
        self.journal.event("call_updated")
        self.interrupt(Updated(following))

    # --- what verbs use -----------------------------------------------------------------------

    def press(self, digit: str) -> None:
        """A key: to the stream while one runs, else to the verb that waits for keys."""
        self.journal.event("dtmf")
        if self.stream is not None:
            self.stream.send_dtmf(digit)
        elif not self.digits.full():
            self.digits.put_nowait(digit)

    def callee(self, target: str) -> Callee:
        return self.script.callees.get(target, Callee())

    def task_attributes(self) -> dict[str, object]:
        """What ``<Enqueue>`` adds to a task by itself."""
        params = self.params
        attributes: dict[str, object] = {
            "call_sid": self.sid,
            "account_sid": params["AccountSid"],
            "from": params["From"],
            "to": params["To"],
            "caller": params["Caller"],
            "called": params["Called"],
            "direction": params["Direction"],
            "call_status": params["CallStatus"],
            "api_version": params["ApiVersion"],
        }
        for who in ("from", "to", "caller", "called"):
            for what, value in _CITY.items():
                attributes[f"{who}_{what.lower()}"] = value
        return attributes

    def notify(self, purpose: str, url: str, method: Method, params: Mapping[str, str]) -> None:
        """A callback beside the call: nobody waits for it, but the call's end does."""
        task = asyncio.ensure_future(self._notify(purpose, url, method, params))
        self._notifications.add(task)
        task.add_done_callback(self._notifications.discard)

    async def _notify(
        self, purpose: str, url: str, method: Method, params: Mapping[str, str]
    ) -> None:
        try:
            await self.webhooks.request(purpose, url, method, params)
        except WebhookFailed as failure:
            self.journal.warning(failure.code, failure.message)

    async def settle(self) -> None:
        """Wait for the callbacks under way; each is bounded by its own deadline."""
        while self._notifications:
            await asyncio.wait(set(self._notifications))


class Exchange:
    """What the calls of one platform share."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self.settings = settings
        self.sids = Sids(rng)
        self.wheel = PacingWheel()
        self.taskrouter = TaskRouter(self.sids)
        self.directory = Directory()


async def run_call(call: CallLeg, number: PhoneNumber | None) -> CallResult:
    """The whole call. Whatever happens, nothing of it is left running."""
    journal, script = call.journal, call.script
    if number is not None:
        call.fallback_url, call.status_callback = number.fallback_url, number.status_callback
    journal.event("call_started", journal.timeline.started)
    try:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(_watch(call))
            behaviour = tasks.create_task(_behave(call))
            ending = await call.run(_first_document(script, number))
            watch.cancel()
            behaviour.cancel()
    finally:
        call.end()
    call.arrive(ending)
    journal.event("call_ended")
    if call.status_callback is not None:
        call.notify("status", call.status_callback, "POST", _completed(call))
    await call.settle()
    return _result(call)


def _first_document(script: CallScript, number: PhoneNumber | None) -> Goto | Inline:
    if script.twiml is not None:
        return Inline(script.twiml.encode())
    if number is None:
        raise ValueError("the call has neither a voice URL nor a TwiML document to begin with")
    method: Method = "GET" if number.voice_method == "GET" else "POST"
    return Goto(number.voice_url, method, purpose="voice")


async def _watch(call: CallLeg) -> None:
    """Ends a call that nothing else ends, and one whose line has failed."""
    deadline = time.monotonic() + call.script.max_call_ms / 1000
    while time.monotonic() < deadline and call.line.failure is None:
        await call.line.bell.wait(deadline)
    call.interrupt(HungUp("time over" if call.line.failure is None else "line failed"))


async def _behave(call: CallLeg) -> None:
    """The caller acts from the moment the call is answered."""
    while call.status == "ringing":
        await call.line.bell.wait(time.monotonic() + 1)
    await caller.behave(call)


def voice_params(sid: str, settings: Settings, script: CallScript) -> dict[str, str]:
    """The parameters of every voice webhook of a call."""
    return {
        "AccountSid": settings.account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": sid,
        "CallStatus": "ringing",
        "Called": script.to_number,
        "Caller": script.from_number,
        "Direction": "inbound",
        "From": script.from_number,
        "To": script.to_number,
        **{f"{who}{what}": value for who in ("From", "To") for what, value in _CITY.items()},
        **{f"{who}{what}": value for who in ("Caller", "Called") for what, value in _CITY.items()},
        **script.params,
    }


def _completed(call: CallLeg) -> dict[str, str]:
    """The status callback at the end of a call."""
    started = call.journal.timeline.started
    seconds = max(1, round(time.monotonic() - started))
    return {
        **call.params,
        "CallDuration": str(seconds),
        "Duration": str(-(-seconds // 60)),
        "CallbackSource": "call-progress-events",
        "SequenceNumber": "0",
        "Timestamp": format_datetime(datetime.now(UTC)),
    }


def _result(call: CallLeg) -> CallResult:
    timeline = call.journal.timeline
    return CallResult(
        call_sid=call.sid,
        outcomes=tuple(call.outcomes),
        notices=tuple(call.journal.notices),
        timeline=timeline.events,
        webhooks=tuple(call.webhooks.calls),
        streams=tuple(call.streams),
        recording=call.recorder.finish() if call.recorder is not None else None,
        duration_ms=timeline.ms(time.monotonic()),
    )
