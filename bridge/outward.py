"""Our own connections to others: Twilio's REST API and the operator's look-up services."""

from __future__ import annotations

import random

from pydantic import SecretStr

from bridge.config import Settings
from bridge.errors import ConfigurationError
from bridge.tenants import Tenants
from dispatch.lookup_client import LookupClient
from dispatch.rest import TwilioRest
from dispatch.rest_client import RestClient, RestSettings


class Outward:
    """Made inside a running loop; ``close`` when nothing uses it any more.

    Raises ConfigurationError for a look-up whose secret is not in the environment.
    """

    def __init__(self, settings: Settings, tenants: Tenants, rng: random.Random) -> None:
        secrets = lookup_secrets(settings, tenants)
        credentials = rest_settings(settings)
        self._rest = None if credentials is None else RestClient(credentials, rng)
        self.rest = None if self._rest is None else TwilioRest(self._rest)
        self.lookups = LookupClient(secrets)

    async def close(self) -> None:
        await self.lookups.close()
        if self._rest is not None:
            await self._rest.close()


def rest_settings(settings: Settings) -> RestSettings | None:
    """None without credentials, which only ``--insecure-local`` allows. A key is preferred."""
    twilio, outward = settings.twilio, settings.outward
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
