"""Our own connections to others: Twilio's REST API and the operator's look-up services."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import structlog
from pydantic import SecretStr

from bridge.config import Settings, TwilioSettings
from bridge.delivering import deliverers
from bridge.errors import ConfigurationError
from bridge.outward_settings import OutwardSettings
from bridge.paging import Pager
from bridge.store.ledger import CallEnd
from bridge.store.reconcile import CallStatus
from bridge.store.worker import Perform
from bridge.tenants import Tenants
from dispatch.lookup_client import LookupClient
from dispatch.performers import performers
from dispatch.rest import TwilioRest
from dispatch.rest_client import RestClient, RestError, RestSettings
from dispatch.routes import CallbackTaskRoute, PageRoute, StudioExecutionRoute

log = structlog.get_logger("bridge.outward")


class Outward:
    """Made inside a running loop; ``close`` when nothing uses it any more.

    Raises ConfigurationError for a look-up whose secret is not in the environment, and for a route
    that could tell nobody; in development (``--insecure-local``) such routes are only logged.
    """

    def __init__(self, settings: Settings, tenants: Tenants, rng: random.Random) -> None:
        self._settings = settings
        self._secrets = needed_secrets(settings, tenants)
        credentials = rest_settings(settings.twilio, settings.outward)
        self._rest = None if credentials is None else RestClient(credentials, rng)
        self.rest = None if self._rest is None else TwilioRest(self._rest)
        self.lookups = LookupClient(self._secrets)
        self._mail = settings.outward.mail

    @property
    def perform(self) -> Mapping[str, Perform]:
        """How side effects are carried out, for the outbox's worker."""
        return deliverers(performers(self.rest, self._mail))

    @property
    def call_status(self) -> CallStatus | None:
        """How Twilio is asked what became of a call; None without credentials."""
        return None if self.rest is None else _CallAsker(self.rest)

    @property
    def pager(self) -> Pager:
        """Tells operators what no call's decision tells them."""
        return Pager(performers(self.rest, self._mail), time.time)

    def renew(self, tenants: Tenants) -> None:
        """The tenants are these now. Raises ConfigurationError, and changes nothing then."""
        self._secrets.update(needed_secrets(self._settings, tenants))

    async def close(self) -> None:
        await self.lookups.close()
        if self._rest is not None:
            await self._rest.close()


class _CallAsker:
    """A call that Twilio does not know will never be reported to have ended: it is ``unknown``."""

    def __init__(self, rest: TwilioRest) -> None:
        self._rest = rest

    async def __call__(self, call_sid: str) -> CallEnd | None:
        try:
            call = await self._rest.fetch_call(call_sid)
        except RestError as error:
            log.warning("call_not_asked_about", call_sid=call_sid, error=str(error))
            return None
        if call is None:
            return CallEnd(call_sid, "unknown", time.time())
        if call.live:
            return None
        ended_at = call.ended_at.timestamp() if call.ended_at is not None else time.time()
        return CallEnd(call_sid, call.status, ended_at, call.duration_s)


def needed_secrets(settings: Settings, tenants: Tenants) -> dict[str, SecretStr]:
    """Of the tenants' look-ups. Raises ConfigurationError as ``Outward`` does."""
    secrets = lookup_secrets(settings, tenants)
    faults = unusable_routes(settings, tenants)
    if faults and not settings.web.insecure_local:
        raise ConfigurationError(faults)
    for fault in faults:
        log.warning("route_unusable", fault=fault)
    return secrets


def rest_settings(twilio: TwilioSettings, outward: OutwardSettings) -> RestSettings | None:
    """None without credentials, which only ``--insecure-local`` allows. A key is preferred."""
    if twilio.account_sid is None:
        return None
    if twilio.api_key is not None and twilio.api_secret is not None:
        username, password = twilio.api_key, twilio.api_secret
    elif twilio.auth_tokens:
        username, password = twilio.account_sid, twilio.auth_tokens[0]
    else:
        return None
    return RestSettings(
        twilio.account_sid, username, password, outward.rest_url, outward.region, outward.edge
    )


def unusable_routes(settings: Settings, tenants: Tenants) -> list[str]:
    """Routes that tell somebody something by a way that is not set up."""
    rest = rest_settings(settings.twilio, settings.outward) is not None
    mail = settings.outward.mail is not None
    faults: list[str] = []
    for tenant in tenants.all:
        for name, route in tenant.policy.routes.items():
            where = f"tenant {tenant.name}: routes.{name}"
            by_rest = isinstance(route, CallbackTaskRoute | StudioExecutionRoute)
            if not rest and (by_rest or (isinstance(route, PageRoute) and route.sms)):
                faults.append(f"{where} needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
            if not mail and isinstance(route, PageRoute) and route.email:
                faults.append(f"{where} sends e-mail, but SMTP_URL and SMTP_FROM are not set")
    return faults


def lookup_secrets(settings: Settings, tenants: Tenants) -> dict[str, SecretStr]:
    """The secrets of all tenants' look-ups, by the names of their variables."""
    found: dict[str, SecretStr] = {}
    faults: list[str] = []
    for tenant in tenants.all:
        for tool in tenant.policy.tools:
            if tool.secret_env is None:
                continue
            secret = settings.outward.secret(tool.secret_env)
            if secret is None:
                faults.append(
                    f"{tool.secret_env} is not set, or not printable ASCII; tool {tool.name!r} of "
                    f"tenant {tenant.name!r} sends it as {tool.secret_header}"
                )
            else:
                found[tool.secret_env] = secret
    if faults:
        raise ConfigurationError(faults)
    return found
