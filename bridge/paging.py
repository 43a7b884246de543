"""Tells the person on call that the guard stepped a rollout back: by the tenant's page route."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog

from dispatch.performers import Effect, Performer, PerformError
from dispatch.policy import TenantPolicy
from dispatch.routes import PageRoute

log = structlog.get_logger("bridge.paging")

TRIES = 3
PAUSE_S = 1.0
WITHIN_S = 20.0
"""All tries of all messages of one page: the guard itself waits for it."""


class Pager:
    """``clock`` gives Unix seconds. What could not be told is logged: the change itself stands."""

    def __init__(self, performers: Mapping[str, Performer], clock: Callable[[], float]) -> None:
        self._performers = performers
        self._clock = clock

    async def __call__(self, policy: TenantPolicy, text: str) -> None:
        """Send ``text`` to everybody on the tenant's page route, if it names one. Never raises."""
        route = None if policy.guard.page is None else policy.routes[policy.guard.page]
        if not isinstance(route, PageRoute):
            return
        page = f"{policy.tenant}/{uuid.uuid4()}"
        created_at = dt.datetime.fromtimestamp(self._clock(), dt.UTC)
        try:
            async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
                for index, (kind, payload) in enumerate(_messages(policy, route, text)):
                    effect = Effect(payload, f"{page}/{index}", created_at)
                    tasks.create_task(self._tell(policy.tenant, kind, effect))
        except TimeoutError:
            log.error("page_not_sent", tenant=policy.tenant, error=f"not within {WITHIN_S:g} s")

    async def _tell(self, tenant: str, kind: str, effect: Effect) -> None:
        in_doubt = False
        for attempt in range(1, TRIES + 1):
            again = Effect(effect.payload, effect.identity, effect.created_at, in_doubt)
            try:
                await self._performers[kind](again)
            except PerformError as error:
                in_doubt = in_doubt or error.in_doubt
                if error.for_good or attempt == TRIES:
                    log.error("page_not_sent", tenant=tenant, kind=kind, error=str(error)[:200])
                    return
                await asyncio.sleep(PAUSE_S * attempt)
            except Exception as error:
                # Ours or a library's mistake, which is no reason to end anything else.
                told = type(error).__name__
                log.error("page_not_sent", tenant=tenant, kind=kind, error=told)
                return
            else:
                log.info("page_sent", tenant=tenant, kind=kind)
                return


def _messages(
    policy: TenantPolicy, route: PageRoute, text: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    sender = route.from_number or policy.numbers[0]
    for number in route.sms:
        yield "sms", {"to": number, "from_number": sender, "body": text}
    for address in route.email:
        yield "email", {"to": address, "subject": f"[{policy.tenant}] {text[:120]}", "text": text}
