"""The HTTP side: Twilio's webhooks and the two health pages, as one Starlette application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from bridge.config import Settings
from bridge.store.ledger import Ledger
from bridge.studio_flow import flow_in
from bridge.web.after import After
from bridge.web.context import ContextLookup
from bridge.web.fates import UNHEARD, Fates
from bridge.web.handover import Handover, Place
from bridge.web.records import NoRecords, Records
from bridge.web.status import Status
from bridge.web.switchboard import Switchboard
from bridge.web.today import TodaysFlow
from bridge.web.voice import Rule, Voice, everybody
from bridge.web.webhook import Reception, RejectedError, Webhook
from dispatch.twiml import hang_up

log = structlog.get_logger("bridge.web")

DEFAULT_TENANT = "default"
LEAVING = "draining"
"""Nothing else turns readiness off: a full process still answers ``/after``, and new calls with
today's flow. Were all of them taken out for being full, nobody would answer Twilio at all."""

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
Handler: TypeAlias = Callable[[Request, Webhook], Awaitable[Response]]
Fallback: TypeAlias = Callable[[Request, str], Response]
"""Answers a request that came to nothing, given the reason."""


def one_tenant(_called_number: str) -> str:
    """Every number belongs to the one tenant there is."""
    return DEFAULT_TENANT


def build_app(
    settings: Settings,
    ledger: Ledger,
    switchboard: Switchboard,
    *,
    clock: Callable[[], float],
    tenant_of: Callable[[str], str | None] = one_tenant,
    effects_written: Callable[[], None] = lambda: None,
    rule: Rule | None = None,
    records: Records | None = None,
    more: Sequence[BaseRoute] = (),
    fates: Fates = UNHEARD,
) -> Starlette:
    """``clock`` gives Unix seconds, ``tenant_of`` the tenant of a called number if it has one.

    ``rule`` says which calls the AI takes, without one all that can be; ``passed_on`` keeps the
    others; ``more`` are pages beside these; ``fates`` hears what became of the AI's calls.

    ``effects_written`` is called when side effects wait to be delivered.
    ``app.state.last_webhook_at`` is when Twilio was last heard of, 0.0 before that.
    """
    rule = rule or everybody(tenant_of)
    records = records or NoRecords()
    voice = Voice(settings, ledger, switchboard, clock, rule, records)
    after = After(settings, ledger, clock, fates)
    status = Status(ledger, clock, records)
    context = ContextLookup(settings, ledger, clock)
    edge = Edge(settings, clock)

    async def answer_voice(_request: Request, webhook: Webhook) -> Response:
        return twiml(await voice.answer(webhook))

    async def answer_after(request: Request, webhook: Webhook) -> Response:
        return twiml(await after.answer(webhook, request.path_params.get("token")))

    async def take_status(_request: Request, webhook: Webhook) -> Response:
        await status.take(webhook)
        return Response(status_code=204)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "tasks": len(asyncio.all_tasks())})

    async def readyz(_request: Request) -> Response:
        reasons = switchboard.not_ready()
        ready = LEAVING not in reasons
        body = {"ready": ready, "reasons": reasons, "live_calls": switchboard.live_calls}
        return JSONResponse(body, status_code=200 if ready else 503)

    app = Starlette(
        routes=[
            Route("/voice", edge.guard(answer_voice), methods=["POST"]),
            Route("/after", edge.guard(answer_after), methods=["POST"]),
            Route("/after/{token}", edge.guard(answer_after), methods=["POST"]),
            Route("/status", edge.guard(take_status), methods=["POST"]),
            *handover_routes(edge, Handover(settings, ledger, clock, effects_written, fates)),
            Route("/context/{call_sid}", context.answer, methods=["GET"]),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            *more,
        ]
    )
    app.state.last_webhook_at = 0.0
    return app


def handover_routes(edge: Edge, handover: Handover) -> list[Route]:
    """What Twilio asks and reports while a call is handed over, and after."""

    async def action(request: Request, webhook: Webhook) -> Response:
        return twiml(await handover.action(webhook, Place.of(request)))

    async def whisper(request: Request, _webhook: Webhook) -> Response:
        return twiml(await handover.whisper(Place.of(request)))

    async def accept(request: Request, webhook: Webhook) -> Response:
        return twiml(await handover.accept(webhook, Place.of(request)))

    async def recording(request: Request, webhook: Webhook) -> Response:
        await handover.recording(webhook, Place.of(request))
        return Response(status_code=204)

    async def transcription(request: Request, webhook: Webhook) -> Response:
        await handover.transcription(webhook, Place.of(request))
        return Response(status_code=204)

    endpoints = {
        "action": edge.guard(action),
        "whisper": edge.guard(whisper, otherwise=callee_hangs_up),
        "accept": edge.guard(accept, otherwise=callee_hangs_up),
        "recording": edge.guard(recording, otherwise=not_kept),
        "transcription": edge.guard(transcription, otherwise=not_kept),
    }
    path = "/call/{call_sid}/{hop}/{step}/"
    return [Route(path + name, endpoint, methods=["POST"]) for name, endpoint in endpoints.items()]


def callee_hangs_up(_request: Request, _reason: str) -> Response:
    """The callee's own leg ends; the caller's goes on with the Dial's action."""
    return twiml(hang_up())


def not_kept(_request: Request, reason: str) -> Response:
    return PlainTextResponse(reason, status_code=500)


class Edge:
    """Around every webhook: who may in, how long it may take, and what is answered if all fails."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reception = Reception(settings)
        self._today = TodaysFlow(settings)
        self._answer_wait_s = settings.limits.answer_wait_s

    def guard(self, handler: Handler, otherwise: Fallback | None = None) -> Endpoint:
        """``otherwise`` answers where all fails; today's flow, unless something else is given."""
        fall_back = otherwise or self._fall_back

        async def endpoint(request: Request) -> Response:
            try:
                async with asyncio.timeout(self._answer_wait_s):
                    webhook = await self._reception.admit(request)
                    request.app.state.last_webhook_at = self._clock()
                    return await handler(request, webhook)
            except RejectedError as rejected:
                log.warning("webhook_rejected", path=route_of(request), reason=rejected.reason)
                return PlainTextResponse(str(rejected), status_code=rejected.status)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            except TimeoutError:
                log.error("webhook_too_slow", path=route_of(request))
                return fall_back(request, "too_slow")
            except Exception:
                # The call's edge: whatever broke, the caller still has to arrive somewhere.
                log.exception("webhook_failed", path=route_of(request))
                return fall_back(request, "internal_error")

        return endpoint

    def _fall_back(self, request: Request, reason: str) -> Response:
        origins = self._today.origins(None, flow_in(request.query_params))
        return twiml(self._today.twiml(origins, reason))


def twiml(text: str) -> Response:
    return Response(text, media_type="text/xml")


def route_of(request: Request) -> str:
    """The path without the token in it."""
    return "/" + request.url.path.split("/")[1]
