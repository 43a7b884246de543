"""Twilio's request signature, made as its security page describes. Knows no socket.

Written from the documentation and not from the ``twilio`` package, so that the two check each
other.
Source: https://www.twilio.com/docs/usage/security
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

HEADER = "X-Twilio-Signature"


class Signing(enum.Enum):
    """What the platform puts into the signature header; all but EXACT are seen in the field."""

    EXACT = "exact"
    TRAILING_SLASH = "trailing_slash"
    PORT_443 = "port_443"
    WRONG = "wrong"
    MISSING = "missing"


def sign(url: str, params: Mapping[str, str], auth_token: str) -> str:
    """base64(HMAC-SHA1(token, url + every name and value, by name)); ``url`` is taken as it is."""
    text = url + "".join(name + params[name] for name in sorted(params))
    # SHA-1 is what Twilio's documentation prescribes.
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")


def webhook_url_to_sign(url: str) -> str:
    """The URL of an HTTP webhook as Twilio signs it.

    The fragment (connection overrides) is never signed. HTTPS loses port and user information,
    plain HTTP keeps its port.
    """
    parts = urlsplit(url)
    host = parts.netloc
    if parts.scheme == "https":
        host = host.rpartition("@")[2]
        if parts.port is not None:
            host = host[: host.rindex(":")]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def signature_for(
    url: str, params: Mapping[str, str], auth_token: str, signing: Signing
) -> str | None:
    """The header's value for ``url`` (already in the form to sign), or None where none is sent."""
    match signing:
        case Signing.EXACT:
            return sign(url, params, auth_token)
        case Signing.TRAILING_SLASH:
            return sign(url + "/", params, auth_token)
        case Signing.PORT_443:
            return sign(_with_port(url, 443), params, auth_token)
        case Signing.WRONG:
            return sign(url, params, auth_token + "x")
        case Signing.MISSING:
            return None


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    host = parts.netloc if parts.port is not None else f"{parts.netloc}:{port}"
    return urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))
