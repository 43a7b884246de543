"""``<Dial>``: ring the nouns, whisper to whoever answers, bridge, tell the action."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.twilio.leg import (
    Goto,
    HungUp,
    Interrupted,
    Leg,
    Next,
    method_of,
)
from loadtest.twilio.outcomes import Dialled, FellOffTheEnd
from loadtest.twilio.people import Callee
from loadtest.twilio.twiml import Element
from loadtest.twilio.verbs import BasicVerbs

if TYPE_CHECKING:
    from loadtest.twilio.call import CallLeg

_RING_S = 30
MAX_TARGETS = 10


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One number rung: Twilio's word for how it went, and whether it may be bridged."""

    sid: str
    target: str
    status: str
    accepted: bool = False


async def dial(call: CallLeg, verb: Element) -> Next:
    """Ring all nouns at once (or in turn when ``sequential``); the first to accept is bridged."""
    nouns = tuple(verb.nouns("Number", "Sip"))[:MAX_TARGETS]
    if not nouns and verb.text:
        nouns = (Element("Number", {}, verb.text, ()),)
    targets = tuple(noun.text for noun in nouns)
    attempt = _Attempt(call.sids.new("CA"), "", "canceled")
    began = time.monotonic()
    try:
        attempt = await call.until(_ring_all(call, verb, nouns))
        if attempt.accepted:
            began = time.monotonic()
            call.journal.event("verb", verb="bridged")
            await call.pass_time(call.callee(attempt.target).talks_ms / 1000)
    except Interrupted as interrupted:
        call.arrive(_outcome(targets, attempt))
        if isinstance(interrupted.interruption, HungUp):
            await call.tell(_action(call, verb, attempt, began))
        raise
    call.arrive(_outcome(targets, attempt))
    return _action(call, verb, attempt, began)


def _outcome(targets: tuple[str, ...], attempt: _Attempt) -> Dialled:
    by = attempt.target if attempt.accepted else None
    return Dialled(targets, attempt.status, attempt.accepted, by)


async def _ring_all(call: CallLeg, verb: Element, nouns: tuple[Element, ...]) -> _Attempt:
    """The attempt that was accepted, else the last that failed."""
    timeout_s = verb.number("timeout", _RING_S)
    attempt = _Attempt(call.sids.new("CA"), "", "failed")
    if verb.get("sequential") == "true":
        for noun in nouns:
            attempt = await _ring(call, noun, timeout_s)
            if attempt.accepted:
                break
        return attempt
    rings = [asyncio.ensure_future(_ring(call, noun, timeout_s)) for noun in nouns]
    try:
        for ring in asyncio.as_completed(rings):
            attempt = await ring
            if attempt.accepted:
                break
    finally:
        for ring in rings:
            ring.cancel()
        if rings:
            await asyncio.wait(rings)
    return attempt


async def _ring(call: CallLeg, noun: Element, timeout_s: int) -> _Attempt:
    """Ring one callee; an answered one hears the whisper before being bridged."""
    callee = call.callee(noun.text)
    sid = call.sids.new("CA")
    rings_s = callee.rings_ms / 1000
    await asyncio.sleep(min(rings_s, timeout_s))
    if callee.answer == "no-answer" or rings_s > timeout_s:
        await asyncio.sleep(max(0.0, timeout_s - rings_s))
        return _Attempt(sid, noun.text, "no-answer")
    if callee.answer != "answers":
        return _Attempt(sid, noun.text, callee.answer)
    call.journal.event("verb", verb="callee answered")
    accepted = not noun.get("url") or await _whisper(call, noun, callee, sid)
    # A callee who hangs up on the whisper has answered: completed, and not bridged.
    return _Attempt(sid, noun.text, "completed", accepted)


async def _whisper(call: CallLeg, noun: Element, callee: Callee, sid: str) -> bool:
    """Run the whisper document on the callee's leg; bridged unless it or the callee hangs up."""
    params = {
        **call.params,
        "CallSid": sid,
        "ParentCallSid": call.sid,
        "To": noun.text,
        "Called": noun.text,
        "Direction": "outbound-dial",
        "CallStatus": "in-progress",
    }
    leg = Leg(call.journal, call.webhooks, call.settings, params)
    leg.verbs = BasicVerbs(leg).table()
    behaving = asyncio.ensure_future(_behave(leg, callee))
    try:
        goto = Goto(call.absolute(noun.get("url")), method_of(noun), purpose="whisper")
        return isinstance(await leg.run(goto), FellOffTheEnd)
    finally:
        behaving.cancel()
        await asyncio.wait({behaving})


async def _behave(leg: Leg, callee: Callee) -> None:
    """Press the scripted keys, then hang up if the script says so."""
    now_ms = 0
    for at_ms, digit in callee.keys:
        await asyncio.sleep(max(0, at_ms - now_ms) / 1000)
        now_ms = max(now_ms, at_ms)
        leg.digits.put_nowait(digit)
    if callee.hangs_up_after_ms is not None:
        await asyncio.sleep(max(0, callee.hangs_up_after_ms - now_ms) / 1000)
        leg.interrupt(HungUp("callee"))


def _action(call: CallLeg, verb: Element, attempt: _Attempt, began: float) -> Goto | None:
    params = {
        "DialCallStatus": attempt.status,
        "DialCallSid": attempt.sid,
        "DialBridged": "true" if attempt.accepted else "false",
    }
    if attempt.accepted:
        params["DialCallDuration"] = str(round(time.monotonic() - began))
    return call.action(verb, "dial action", **params)
