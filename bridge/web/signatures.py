"""Twilio's signatures on webhooks and on the websocket upgrade.

The signed address is built from the configured public origin, never from ``Host`` or forwarding
headers. Twilio's own ``RequestValidator`` computes; which addresses are tried, and the comparison,
are ours: its port handling turns ``wss`` into port 80 and cuts IPv6 addresses, and it raises on a
missing signature.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from pydantic import SecretStr
from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import (  # type: ignore[import-untyped]
    HMAC_SHA1,
    HMAC_SHA256,
    RequestValidator,
    get_signature_algorithm,
)

from bridge.config import Settings
from bridge.origin import Origin

SIGNATURE_HEADER = "x-twilio-signature"
ALGORITHM_HEADER = "x-twilio-webhooks-signature-settings"
MEDIA_PATH = "/media"

Form: TypeAlias = ImmutableMultiDict[str, str]
SignatureFault: TypeAlias = Literal[
    "signature_missing", "signature_wrong", "signature_algorithm_unknown"
]
NO_FIELDS: Form = ImmutableMultiDict()


class SignatureCheck:
    """``tokens``: any of them may have signed, so that one can be rotated."""

    def __init__(self, origin: Origin, tokens: Sequence[SecretStr]) -> None:
        self._origin = origin
        self._validators = [RequestValidator(token.get_secret_value()) for token in tokens]

    def request(self, target: str, form: Form, headers: Mapping[str, str]) -> SignatureFault | None:
        """``target``: path and query exactly as they came; ``headers`` by lower-case name."""
        scheme = self._origin.scheme
        urls = [f"{scheme}://{netloc}{target}" for netloc in self._origin.netlocs]
        return self._check(urls, form, headers)

    def upgrade(self, target: str, headers: Mapping[str, str]) -> SignatureFault | None:
        """Signed as ``wss://`` without parameters, at times with a slash behind the path."""
        scheme = self._origin.socket_scheme
        urls = [f"{scheme}://{netloc}{target}" for netloc in self._origin.netlocs]
        return self._check([*urls, *(f"{url}/" for url in urls)], NO_FIELDS, headers)

    def _check(
        self, urls: Sequence[str], form: Form, headers: Mapping[str, str]
    ) -> SignatureFault | None:
        given = headers.get(SIGNATURE_HEADER, "").encode()
        if not given:
            return "signature_missing"
        algorithm = get_signature_algorithm(headers.get(ALGORITHM_HEADER, "")).upper()
        if algorithm not in (HMAC_SHA1, HMAC_SHA256):
            return "signature_algorithm_unknown"
        for validator in self._validators:
            for url in urls:
                expected = validator.compute_signature(url, form, algorithm).encode()
                if hmac.compare_digest(expected, given):
                    return None
        return "signature_wrong"


def signature_check(settings: Settings) -> SignatureCheck | None:
    """None where nothing is signed: ``--insecure-local``."""
    if settings.web.insecure_local:
        return None
    return SignatureCheck(settings.web.origin, settings.twilio.auth_tokens)


def upgrade_gate(settings: Settings) -> Callable[[str, Mapping[str, str]], str | None]:
    """Who may open the media socket: gives None, or the reason of the refusal.

    The gate takes the request's target as it came and its headers by lower-case name.
    """
    check = signature_check(settings)

    def authorise(target: str, headers: Mapping[str, str]) -> str | None:
        if target.partition("?")[0].rstrip("/") != MEDIA_PATH:
            return "path_unknown"
        return None if check is None else check.upgrade(target, headers)

    return authorise
