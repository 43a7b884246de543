"""Addresses of ``/context``: who holds one may read one call's record until it expires.

The signature is ``HMAC-SHA256(key, "<CallSid>.<expires>")`` in URL-safe base64 without padding; the
key is ``HMAC-SHA256(auth token, "triage-bridge context")``, so that a Twilio Function, which has
the token, can make an address by itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Literal, TypeAlias
from urllib.parse import urlencode

from pydantic import SecretStr

from bridge.origin import Origin

PURPOSE = b"triage-bridge context"
_MAX_EXPIRES_DIGITS = 12

LinkFault: TypeAlias = Literal["signature_missing", "signature_wrong", "expired"]


class ContextLinks:
    """Signs with the first token; any of them may have signed, so that one can be rotated."""

    def __init__(self, origin: Origin, tokens: Sequence[SecretStr], ttl_s: float) -> None:
        self._origin = origin
        self._ttl_s = ttl_s
        self._keys = [
            hmac.new(token.get_secret_value().encode(), PURPOSE, hashlib.sha256).digest()
            for token in tokens
        ]

    def url(self, call_sid: str, now: float) -> str:
        """Empty where there is nothing to sign with. ``now`` in Unix seconds."""
        if not self._keys:
            return ""
        expires = str(int(now + self._ttl_s))
        query = urlencode({"expires": expires, "sig": _signature(self._keys[0], call_sid, expires)})
        return self._origin.url(f"/context/{call_sid}?{query}")

    def fault(self, call_sid: str, expires: str, signature: str, now: float) -> LinkFault | None:
        """Why these do not open the record of this call; None where they do.

        Whether it has expired is only told to whoever holds a sound signature.
        """
        if not signature or not expires:
            return "signature_missing"
        given = signature.encode("utf-8", "replace")
        signed = [_signature(key, call_sid, expires).encode() for key in self._keys]
        if not any([hmac.compare_digest(one, given) for one in signed]):  # noqa: C419 - all of them
            return "signature_wrong"
        sound = expires.isascii() and expires.isdigit() and len(expires) <= _MAX_EXPIRES_DIGITS
        return None if sound and now < int(expires) else "expired"


def _signature(key: bytes, call_sid: str, expires: str) -> str:
    digest = hmac.new(
        key, f"{call_sid}.{expires}".encode("utf-8", "replace"), hashlib.sha256
    ).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
