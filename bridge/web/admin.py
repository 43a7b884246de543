"""The admin API: rollouts by HTTP, for whoever holds the token. Without one it is not there.

    GET  /admin/rollout                    every tenant: shares, kill switch, stages
    GET  /admin/rollout/history?tenant=&limit=
    GET  /admin/metrics                    the same for Prometheus
    POST /admin/rollout/{action}           JSON: tenant, who, why, and number, share where needed

``action`` is set, clear, advance, back, kill or resume. Answers are JSON; faults are
``{"error": ...}``.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_args

import orjson
import structlog
from pydantic import SecretStr
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bridge.errors import TriageBridgeError
from bridge.rollouts import WHOLE, RolloutConflictError, RolloutStore
from bridge.traffic.metrics import exposition
from bridge.traffic.operating import Operator, Wanted, Wish
from bridge.traffic.overview import change_facts, rollout_facts, state_facts
from bridge.traffic.rollout import RolloutError
from dispatch.rollout import tenths

log = structlog.get_logger("bridge.admin")

MAX_BODY_BYTES = 16 * 1024
WITHIN_S = 5.0
MAX_HISTORY = 1000
MAX_LIMIT_DIGITS = 4
FIELDS = frozenset({"tenant", "who", "why", "number", "share"})
ACTIONS: tuple[Wanted, ...] = get_args(Wanted)

Handler = Callable[[Request], Awaitable[Response]]


class BadRequestError(Exception):
    """``str()`` is for whoever asked."""


def admin_routes(
    token: SecretStr | None,
    store: RolloutStore,
    clock: Callable[[], float],
    refresh: Callable[[], Awaitable[None]],
) -> list[BaseRoute]:
    """``clock`` gives Unix seconds; ``refresh`` has this process look at the store at once."""
    if token is None:
        return []
    admin = RolloutAdmin(store, clock, refresh)
    door = Door(token)
    return [
        Route("/admin/rollout", door.guard(admin.all), methods=["GET"]),
        Route("/admin/rollout/history", door.guard(admin.history), methods=["GET"]),
        Route("/admin/metrics", door.guard(admin.metrics), methods=["GET"]),
        Route("/admin/rollout/{action}", door.guard(admin.change), methods=["POST"]),
    ]


class Door:
    """Lets in whoever brings the token, and turns what goes wrong into an answer."""

    def __init__(self, token: SecretStr) -> None:
        self._expected = token.get_secret_value().encode()

    def guard(self, handler: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            if not self._opens(request.headers.get("authorization", "")):
                log.warning("admin_refused")
                return _answer(401, {"error": "expected 'Authorization: Bearer' and the token"})
            try:
                async with asyncio.timeout(WITHIN_S):
                    return await handler(request)
            except (BadRequestError, RolloutError) as error:
                return _answer(400, {"error": str(error)})
            except RolloutConflictError as conflict:
                now = state_facts(conflict.current)
                return _answer(409, {"error": str(conflict), "rollout": now})
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            except (TriageBridgeError, TimeoutError) as error:
                log.error("admin_failed", error=type(error).__name__)
                return _answer(503, {"error": "the store cannot be used now"})

        return endpoint

    def _opens(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")  # the scheme in any case: RFC 9110, 11.1
        given = token.strip().encode("latin-1", "replace")
        return hmac.compare_digest(given, self._expected) and scheme.lower() == "bearer"


class RolloutAdmin:
    def __init__(
        self,
        store: RolloutStore,
        clock: Callable[[], float],
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._operator = Operator(store, clock)
        self._refresh = refresh

    async def all(self, _request: Request) -> Response:
        return _answer(200, rollout_facts(await self._store.read()))

    async def history(self, request: Request) -> Response:
        query = request.query_params
        limit = query.get("limit", "50")
        if not (
            limit.isascii()
            and limit.isdigit()
            and len(limit) <= MAX_LIMIT_DIGITS
            and 0 < int(limit) <= MAX_HISTORY
        ):
            raise BadRequestError(f"limit is {limit[:20]!r}, expected 1 to {MAX_HISTORY}")
        changes = await self._store.history(query.get("tenant"), int(limit))
        return _answer(200, {"changes": [change_facts(change) for change in changes]})

    async def metrics(self, _request: Request) -> Response:
        facts = rollout_facts(await self._store.read())
        text = exposition(facts, await self._store.steps_back())
        return Response(text, media_type="text/plain; version=0.0.4")

    async def change(self, request: Request) -> Response:
        wish = _wish(request.path_params["action"], await _body(request))
        state = await self._operator.carry_out(wish)
        await self._refresh()
        log.info("admin_changed", action=wish.action, tenant=wish.tenant, version=state.version)
        return _answer(200, {"rollout": state_facts(state)})


def _wish(action: str, body: Mapping[str, Any]) -> Wish:
    known = next((one for one in ACTIONS if one == action), None)
    if known is None:
        raise BadRequestError(f"there is no action {action[:40]!r}; expected {', '.join(ACTIONS)}")
    unknown = sorted(body.keys() - FIELDS)
    if unknown:
        raise BadRequestError(f"{unknown[0][:40]!r} is not a known field")
    share = body.get("share")
    if share is not None and (isinstance(share, bool) or not isinstance(share, int | float | str)):
        raise BadRequestError("share is no number, expected a share from 0 to 100")
    try:
        wanted = None if share is None else tenths(share)
    except ValueError as error:
        raise BadRequestError(f"share {error}") from None
    everybody = known in ("kill", "resume")
    return Wish(
        known,
        _text(body, "tenant", WHOLE if everybody else None),
        _text(body, "who"),
        _text(body, "why"),
        _text(body, "number", WHOLE),
        wanted,
    )


def _text(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        what = "missing" if value is None else f"{type(value).__name__}"
        raise BadRequestError(f"{name} is {what}, expected text")
    return value


async def _body(request: Request) -> Mapping[str, Any]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise BadRequestError(f"the body has more than {MAX_BODY_BYTES} bytes")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequestError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequestError("the body is not a JSON object")
    return value


def _answer(status: int, value: Mapping[str, Any]) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(value), status, headers, "application/json")
