"""``/call/{call_sid}/{hop}/{step}/...``: what Twilio reports while and after a call is handed over.

A step is one route of the decision's chain. Its result is written before it is answered, and the
first one written stands: the same request asked twice gets the same answer, whoever is asked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from starlette.requests import Request

from bridge.callbacks import callback_urls
from bridge.config import Settings
from bridge.delivering import to_store
from bridge.errors import TriageBridgeError
from bridge.outward import rest_settings
from bridge.store.ledger import (
    HandoverReport,
    Ledger,
    LedgerUnavailableError,
    SideEffect,
    StoredDecision,
)
from bridge.web.after import FINAL_STATUSES
from bridge.web.documents import nothing
from bridge.web.fates import UNHEARD, Fates
from bridge.web.today import TodaysFlow
from bridge.web.webhook import RejectedError, Webhook
from dispatch import decision as decisions
from dispatch import envelope as envelopes
from dispatch import results, twiml
from dispatch.decision import Decision, next_on_failure
from dispatch.effects import look_backs, side_effects
from dispatch.envelope import Envelope
from dispatch.routes import DialRoute, PageRoute, VoicemailRoute

log = structlog.get_logger("bridge.web")

MAX_STEPS = 32
"""Far above the routes of any chain."""
KNOWN_WITHIN_S = 1.2
"""Who asks gets an answer that fits what just happened, before the edge would send today's flow."""
WRITTEN_WITHIN_S = 0.7
"""The caller hears nothing meanwhile. Past it the answer is given unwritten: were the whole request
to take too long, who was just talked to would be sent on to today's flow."""
MAX_TRANSCRIPTION_CHARS = 10_000
_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}", re.ASCII)
_RECORDING_SID = re.compile(r"RE[0-9a-fA-F]{32}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,3}", re.ASCII)
_WORD = re.compile(r"[a-z-]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Which step of which passage of which call a request is about."""

    call_sid: str
    hop: int
    step: int

    @classmethod
    def of(cls, request: Request) -> Place:
        """From the path, which is signed. Raises RejectedError."""
        path = request.path_params
        if not _CALL_SID.fullmatch(path["call_sid"]):
            raise RejectedError(404, "bad_path", "the path names no call")
        hop, step = path["hop"], path["step"]
        if not (_NUMBER.fullmatch(hop) and _NUMBER.fullmatch(step) and int(step) < MAX_STEPS):
            raise RejectedError(404, "bad_path", "the path names no step of a handover")
        return cls(path["call_sid"], int(hop), int(step))


@dataclass(frozen=True, slots=True)
class Standing:
    """What the call is doing at one step. ``decision`` is that of the route it is really in."""

    place: Place
    decision: Decision
    envelope: Envelope


class Handover:
    """``clock`` gives Unix seconds; ``effects_written`` is called when there is something to do."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        clock: Callable[[], float],
        effects_written: Callable[[], None],
        fates: Fates = UNHEARD,
    ) -> None:
        self._origin = settings.web.origin
        self._by_rest = rest_settings(settings.twilio, settings.outward) is not None
        self._today = TodaysFlow(settings)
        self._ledger = ledger
        self._clock = clock
        self._effects_written = effects_written
        self._fates = fates

    # --- the document of a route is over -------------------------------------------------------

    async def action(self, webhook: Webhook, place: Place) -> str:
        """The next document: the next route where this one failed, else the end of the call."""
        if webhook.call_sid != place.call_sid:
            raise RejectedError(403, "call_mismatch", "CallSid is not the call of the path")
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                standing = await self._standing(place)
        except (LedgerUnavailableError, TimeoutError):  # the log knows it from the database
            standing = None
        if standing is None:
            return self._unknown(webhook)
        result = results.action_result(standing.decision.route, webhook.form)
        match result:
            case results.RouteFailed(what=what):
                return await self._next_route(standing, what)
            case results.Handled(how=how):
                report = self._report(standing, how, self._ending(standing, how))
            case results.CallerGone(how=how):
                report = self._report(standing, how, nothing())
        return (await self._written(report)).twiml

    def _unknown(self, webhook: Webhook) -> str:
        """Nothing is known of this step: who has not arrived anywhere goes to today's flow."""
        log.warning("unknown_step", call_sid=webhook.call_sid)
        if webhook.field("CallStatus") in FINAL_STATUSES:
            return nothing()
        if results.conversation_over(webhook.form):
            redirected = webhook.field("QueueResult").startswith("redirected")
            return nothing() if redirected else twiml.hang_up()
        origins = self._today.origins(webhook.account_sid, webhook.flow_sid)
        return self._today.twiml(origins, "unknown_step")

    def _ending(self, standing: Standing, how: str) -> str:
        route = standing.decision.route
        if isinstance(route, VoicemailRoute):
            return twiml.after_recording(route, standing.envelope)
        if how.startswith("redirected"):
            return nothing()  # another document has the call already
        return twiml.hang_up()

    async def _next_route(self, standing: Standing, what: str) -> str:
        following = next_on_failure(standing.decision, what)
        if what not in results.NOBODY_THERE:
            self._fates.route_failed(standing.envelope.call.tenant)
        report = self._failed(standing, what, following)
        effects = side_effects(following, standing.envelope)
        if self._by_rest:
            effects += look_backs(following, standing.envelope)
        stands = await self._stored(report, to_store(effects))
        if stands is None:
            harmless = without_effects(following, standing.envelope)
            return self._failed(standing, what, harmless).twiml
        if effects:
            self._effects_written()
        self._told(stands)
        return stands.twiml

    def _failed(self, standing: Standing, what: str, following: Decision) -> HandoverReport:
        urls = self._urls(standing, standing.place.step + 1)
        document = twiml.render(following, standing.envelope, urls)
        return self._report(standing, what, document, following)

    def _urls(self, standing: Standing, step: int) -> twiml.CallbackUrls:
        place, flow_sid = standing.place, standing.envelope.call.studio_flow
        return callback_urls(self._origin, place.call_sid, place.hop, step, flow_sid=flow_sid)

    def _report(
        self, standing: Standing, status: str, document: str, following: Decision | None = None
    ) -> HandoverReport:
        fields: dict[str, Any] = {"route": standing.decision.chosen.name}
        if following is not None:
            fields["next_route"] = following.chosen.name
            fields["decision"] = orjson.loads(decisions.to_json(following))
        place = standing.place
        return HandoverReport(
            call_sid=place.call_sid,
            hop=place.hop,
            key=f"step-{place.step}",
            status=status,
            at=self._clock(),
            twiml=document,
            fields=fields,
        )

    async def _written(self, report: HandoverReport) -> HandoverReport:
        """What stands; what cannot be written now is said all the same."""
        stands = await self._stored(report)
        if stands is None:
            return report
        self._told(stands)
        return stands

    async def _stored(
        self, report: HandoverReport, effects: Sequence[SideEffect] = ()
    ) -> HandoverReport | None:
        """What stands, with its effects; None where it could not be written in time."""
        try:
            async with asyncio.timeout(WRITTEN_WITHIN_S):
                return await self._ledger.report(report, effects)
        except (TriageBridgeError, TimeoutError) as error:
            log.error("step_not_written", call_sid=report.call_sid, error=str(error) or "slow")
            return None

    def _told(self, report: HandoverReport) -> None:
        log.info(
            "handover_step",
            call_sid=report.call_sid,
            hop=report.hop,
            step=report.key,
            status=report.status,
            route=report.fields.get("route"),
            next_route=report.fields.get("next_route"),
        )

    # --- the callee of a Dial ------------------------------------------------------------------

    async def whisper(self, place: Place) -> str:
        """What the callee hears before being connected."""
        standing = await self._standing(place)
        if standing is None or not isinstance(standing.decision.route, DialRoute):
            return twiml.hang_up()
        urls = self._urls(standing, place.step)
        return twiml.whisper(standing.decision.route, standing.envelope, urls)

    async def accept(self, webhook: Webhook, place: Place) -> str:
        """The callee pressed a key."""
        standing = await self._standing(place)
        if standing is None or not isinstance(standing.decision.route, DialRoute):
            return twiml.hang_up()
        return twiml.accepted(standing.decision.route, webhook.field("Digits", limit=8))

    # --- voicemail -----------------------------------------------------------------------------

    async def recording(self, webhook: Webhook, place: Place) -> None:
        """A message was left: kept with the number to call back."""
        status = _word(webhook.field("RecordingStatus"), "completed")
        duration = webhook.field("RecordingDuration", limit=6)
        fields = {
            "recording_url": _https(webhook.field("RecordingUrl", limit=500)),
            "duration_s": int(duration) if duration.isascii() and duration.isdigit() else None,
        }
        await self._keep_message("recording", status, fields, webhook, place)

    async def transcription(self, webhook: Webhook, place: Place) -> None:
        """The words of a message, or that there are none."""
        status = _word(webhook.field("TranscriptionStatus"), "completed")
        text = webhook.form.get("TranscriptionText", "")[:MAX_TRANSCRIPTION_CHARS]
        await self._keep_message("transcription", status, {"text": text}, webhook, place)

    async def _keep_message(
        self,
        what: str,
        status: str,
        fields: Mapping[str, Any],
        webhook: Webhook,
        place: Place,
    ) -> None:
        sid = webhook.field("RecordingSid", limit=34)
        if not _RECORDING_SID.fullmatch(sid):
            raise RejectedError(400, "bad_recordingsid", "RecordingSid is not one of Twilio's")
        stored = await self._ledger.decision(place.call_sid, place.hop)
        callback = None if stored is None else stored.envelope.get("callback")
        report = HandoverReport(
            call_sid=place.call_sid,
            hop=place.hop,
            key=f"{what}-{sid}",
            status=status,
            at=self._clock(),
            fields={"recording_sid": sid, "callback": callback, **fields},
        )
        await self._ledger.report(report)
        log.info("message_kept", call_sid=place.call_sid, what=what, sid=sid, status=status)

    # --- where the call stands -----------------------------------------------------------------

    async def _standing(self, place: Place) -> Standing | None:
        stored = await self._ledger.decision(place.call_sid, place.hop)
        if stored is None or not stored.decision or not stored.envelope:
            return None  # unknown, or today's flow, which asks nothing of us
        written = stored.decision
        if place.step > 0:
            before = f"step-{place.step - 1}"
            reports = await self._ledger.reports(place.call_sid, place.hop)
            failed = next((one for one in reports if one.key == before), None)
            if failed is None or "decision" not in failed.fields:
                return None
            written = failed.fields["decision"]
        decision = decisions.from_json(orjson.dumps(written))
        return Standing(place, _in_effect(decision), _envelope(stored))


def _envelope(stored: StoredDecision) -> Envelope:
    return envelopes.from_json(orjson.dumps(stored.envelope))


def _in_effect(decision: Decision) -> Decision:
    """Behind a page the caller is in the route that follows it."""
    if not isinstance(decision.route, PageRoute):
        return decision
    return decision.after_page() or decision


def without_effects(decision: Decision, envelope: Envelope) -> Decision:
    """The first of the chain that wants nothing done beside the call.

    For when that cannot be written: nobody is told of an alarm that was never raised. What an
    alarm leads on to is taken all the same.
    """
    while side_effects(decision, envelope):
        following = _in_effect(decision)
        decision = (
            following if following is not decision else next_on_failure(decision, "not_recorded")
        )
    return decision


def _word(value: str, default: str) -> str:
    return value if _WORD.fullmatch(value) else default


def _https(url: str) -> str | None:
    return url if url.startswith("https://") else None
