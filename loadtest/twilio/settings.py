"""How the simulated platform is set up. Frozen, handed down whole."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from loadtest.twilio.faults import NO_FAULTS, StreamFaults
from loadtest.twilio.origins import Origins
from loadtest.twilio.signature import Signing

_TASK_CHANNELS = {"default": "TC" + "0" * 32, "voice": "TC" + "1" * 32}
"""Some of what every workspace has."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Account and manners of the simulated Twilio.

    ``say_ms_per_word``: 350 is about 170 words a minute; 0 makes spoken verbs take no time.
    ``plain_ws``: accept ``ws://`` stream URLs, which Twilio refuses; for a bridge without TLS.
    ``rest_port``: where the REST side listens, 0 for any free port, None for not at all.
    ``flows`` (SID to status), ``workflows`` (SID to configuration) and ``task_channels`` (name to
    SID) are what the account has of these; any SID works for a call.
    ``repeated_webhooks``: purposes (``voice``, ``connect action``, ...) of requests that are sent
    twice, as after a lost answer.
    ``stream_faults`` and the two ``signing`` settings are for testing what a bridge refuses.
    """

    account_sid: str
    auth_token: str = field(repr=False)
    origins: Origins = field(default_factory=Origins)
    api_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    workspace_sid: str = "WS" + "0" * 32
    flows: Mapping[str, str] = field(default_factory=dict)
    workflows: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    task_channels: Mapping[str, str] = field(default_factory=lambda: dict(_TASK_CHANNELS))
    webhook_signing: Signing = Signing.EXACT
    stream_signing: Signing = Signing.EXACT
    stream_faults: StreamFaults = NO_FAULTS
    rest_port: int | None = 0
    plain_ws: bool = False
    offer_deflate: bool = False
    ssl_context: ssl.SSLContext | None = None
    say_ms_per_word: int = 350
    unknown_play_ms: int = 2000
    connect_timeout_s: float = 5.0
    webhook_timeout_s: float = 15.0
    repeated_webhooks: frozenset[str] = frozenset()
    first_timestamp_ms: int = 155


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """What is configured for the number that is called: its webhooks."""

    voice_url: str
    voice_method: str = "POST"
    fallback_url: str | None = None
    status_callback: str | None = None
