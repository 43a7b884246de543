"""All settings: read once from the environment, checked together, frozen, handed on in branches."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from bridge.call.limits import CallLimits
from bridge.origin import Origin
from bridge.outward_settings import OutwardSettings
from bridge.protocol.realtime_session import SessionSettings
from bridge.store.settings import StoreSettings
from bridge.traffic_settings import TrafficSettings

DefaultEntry: TypeAlias = Literal["number", "studio"]

DEFAULT_REALTIME_URL = "wss://api.openai.com/v1/realtime"
DEFAULT_GREETING = "Thank you for calling. How can I help you today?"
DEFAULT_INSTRUCTIONS = (
    "You answer the telephone of a business. Find out in a few short sentences what the caller "
    "wants, ask one question at a time, and then call the tool that moves the call on. Never say "
    "that you have transferred the caller before you called the tool."
)


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    api_key: SecretStr | None
    """None only towards a simulator on this machine."""
    url: str
    """Without the model, which is added as ``?model=``."""
    session: SessionSettings
    """Without tools; a triage file brings those, and may replace the rest."""


@dataclass(frozen=True, slots=True)
class TwilioSettings:
    account_sid: str | None
    """None only with ``insecure_local``, which then takes any account."""
    auth_tokens: tuple[SecretStr, ...]
    """Any of them may have signed a request: two during a rotation."""
    api_key: str | None
    api_secret: SecretStr | None


@dataclass(frozen=True, slots=True)
class TodaySettings:
    """Where calls go that the AI does not take: the path that answered before us."""

    entry: DefaultEntry
    """How a webhook that names no flow came to us."""
    studio_flow_sid: str | None
    studio_url: str
    """The address of a flow, ``{account}`` and ``{flow}`` in it."""
    fallback_url: str | None

    def return_url(self, account_sid: str, flow_sid: str, outcome: Mapping[str, str]) -> str:
        """Lets the flow that sent the call go on behind its TwiML Redirect widget."""
        return self._flow_url(account_sid, flow_sid, {"FlowEvent": "return", **outcome})

    def trigger_url(self, account_sid: str, flow_sid: str) -> str:
        """Starts the flow for a call that does not come from it."""
        return self._flow_url(account_sid, flow_sid, {"Trigger": "incomingCall"})

    def _flow_url(self, account_sid: str, flow_sid: str, query: Mapping[str, str]) -> str:
        address = self.studio_url.replace("{account}", quote(account_sid, safe=""))
        address = address.replace("{flow}", quote(flow_sid, safe=""))
        return f"{address}?{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class GreetingSettings:
    text: str
    """Empty: the caller speaks first."""
    cache_folder: Path
    make_lines: bool
    """Have the model say what the cache does not hold, at the start."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Model sessions kept connected and configured, for each tenant."""

    size: int
    max_age_s: float


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Of the process; those of one call are ``Settings.call``."""

    max_calls: int
    max_hops: int
    """Passages of one call through the AI."""
    stream_token_ttl_s: float
    """From the answered webhook to the stream's ``start``."""
    answer_wait_s: float
    """Twilio waits 15 s for a webhook, but the caller hears nothing: past this, today's flow."""
    drain_s: float
    """How long calls may go on after SIGTERM."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    host: str
    port: int
    origin: Origin
    """What Twilio calls, and therefore what it signs; never taken from a request."""
    insecure_local: bool
    """No signatures, no tokens, loopback only."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["json", "console"]


@dataclass(frozen=True, slots=True)
class TriageSettings:
    """The operator's triage file, or a folder with one for each tenant. At most one of them."""

    file: Path | None
    folder: Path | None


@dataclass(frozen=True, slots=True)
class Settings:
    openai: OpenAISettings
    twilio: TwilioSettings
    today: TodaySettings
    greeting: GreetingSettings
    pool: PoolSettings
    limits: LimitSettings
    call: CallLimits
    web: WebSettings
    log: LogSettings
    triage: TriageSettings
    outward: OutwardSettings
    store: StoreSettings
    traffic: TrafficSettings

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str],
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        insecure_local: bool = False,
    ) -> Settings:
        """Raises ConfigurationError with every fault. ``host`` and ``port`` are where we listen."""
        # Imported here: the reader knows these classes.
        from bridge.settings_reader import read_settings

        return read_settings(environ, host, port, insecure_local)

    def bound_to(self, port: int) -> Settings:
        """As it is when the system chose the port (``port`` 0)."""
        if self.web.port == port:
            return self
        origin = self.web.origin
        if self.web.insecure_local and origin.port == self.web.port:
            origin = replace(origin, port=port)
        return replace(self, web=replace(self.web, port=port, origin=origin))

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """Everything that must never be shown."""
        single = (self.openai.api_key, self.twilio.api_secret)
        known = (secret for secret in single if secret is not None)
        branches = (self.outward.secrets, self.store.secrets, self.traffic.secrets)
        return (*self.twilio.auth_tokens, *known, *itertools.chain(*branches))
