"""What is tested: an address, and whether anybody is there. Others' bridges are left alone."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

CONNECT_TIMEOUT_S = 5.0
_SCHEMES = {"media": ("ws", "wss"), "voice": ("http", "https")}
_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_TWINS = {"https": "wss", "wss": "https", "http": "ws", "ws": "http"}

Way: TypeAlias = Literal["media", "voice"]
"""Straight to the media socket, or through the voice webhook as Twilio would."""


class TargetError(ValueError):
    """An address that is not, or must not be, called; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    way: Way
    url: str

    @classmethod
    def parse(cls, way: Way, url: str, *, owned: bool) -> Target:
        """``owned``: the user has said that a host elsewhere is theirs to load."""
        parts = urlsplit(url)
        option = "--target" if way == "media" else "--voice"
        if parts.scheme not in _SCHEMES[way] or not parts.hostname:
            schemes = " or ".join(f"{scheme}://" for scheme in _SCHEMES[way])
            raise TargetError(f"{option} is {url!r}, expected an address with {schemes}")
        if way == "media" and parts.query:
            raise TargetError(f"{option} has a query: Twilio's <Stream> takes none")
        try:
            _ = parts.port
        except ValueError:
            raise TargetError(f"{option} is {url!r}: its port is no port") from None
        if not owned and not is_loopback(parts.hostname):
            raise TargetError(
                f"{parts.hostname} is not this machine. A load test of a bridge that is not yours "
                "is an attack; add --yes-i-own-this-target if it is yours"
            )
        return cls(way, url)

    @property
    def origins(self) -> frozenset[str]:
        """Webhook and media socket of that host."""
        parts = urlsplit(self.url)
        return frozenset(
            f"{scheme}://{parts.netloc}" for scheme in (parts.scheme, _TWINS[parts.scheme])
        )

    async def check_there(self, address: str | None = None) -> None:
        """TargetError where nobody takes connections, at ``address`` if the name leads there."""
        parts = urlsplit(address or self.url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            raise TargetError(
                f"{host}:{port} does not answer within {CONNECT_TIMEOUT_S:g} s"
            ) from None
        except OSError as error:
            why = error.strerror or str(error)
            raise TargetError(f"nobody takes connections at {host}:{port}: {why}") from None
        writer.close()


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
