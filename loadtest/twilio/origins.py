"""Public URLs and where they are really reached; what is not listed is never called."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit, urlunsplit

_TWIN = {"https": "wss", "wss": "https", "http": "ws", "ws": "http"}


class UnreachableOriginError(Exception):
    """The URL leads to a host that the simulator was not allowed to call."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Connect to ``address`` with ``host`` as the Host header, as if the public name were it."""

    address: str
    host: str


@dataclass(frozen=True, slots=True)
class Origins:
    """Maps public origins (``https://bridge.example``) to local ones (``http://127.0.0.1:8080``).

    An https entry serves wss as well and the other way round. ``allowed`` are public origins that
    may be called as they are; loopback always may.
    """

    resolve: Mapping[str, str] = field(default_factory=dict)
    allowed: frozenset[str] = frozenset()

    def destination(self, url: str) -> Destination:
        """Where to connect for ``url``; UnreachableOriginError when it is nobody we may call."""
        parts = urlsplit(url)
        local = self._local(parts)
        if local is not None:
            there = urlsplit(local)
            address = urlunsplit((there.scheme, there.netloc, parts.path or "/", parts.query, ""))
            return Destination(address, parts.netloc)
        if _is_loopback(parts.hostname or "") or _origin(parts) in self.allowed:
            address = urlunsplit((parts.scheme, parts.netloc, parts.path or "/", parts.query, ""))
            return Destination(address, parts.netloc)
        raise UnreachableOriginError(
            f"{_origin(parts)} is neither loopback nor among the origins the simulator may call"
        )

    def _local(self, parts: SplitResult) -> str | None:
        direct = self.resolve.get(_origin(parts))
        if direct is not None:
            return direct
        twin = _TWIN.get(parts.scheme)
        if twin is None:
            return None
        local = self.resolve.get(f"{twin}://{parts.netloc}")
        if local is None:
            return None
        there = urlsplit(local)
        return f"{_TWIN[there.scheme]}://{there.netloc}"


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
