"""The address by which Twilio reaches us: scheme, host and port, nothing behind them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORT = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Origin:
    """``port`` is None where the address names none."""

    scheme: Literal["https", "http"]
    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Raises ValueError with what was expected."""
        parts = split_url(text)
        if parts.scheme not in _DEFAULT_PORT or not parts.hostname:
            raise ValueError("an address such as https://voice.example.com")
        if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("scheme, host and port only, such as https://voice.example.com")
        return cls(cast("Literal['https', 'http']", parts.scheme), parts.hostname, parts.port)

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def netlocs(self) -> tuple[str, ...]:
        """The ways the same place is written: with the scheme's own port, and without."""
        bare = f"[{self.host}]" if ":" in self.host else self.host
        default = _DEFAULT_PORT[self.scheme]
        if self.port not in (None, default):
            return (self.netloc, bare) if self.scheme == "https" else (self.netloc,)
        return (bare, f"{bare}:{default}")

    @property
    def socket_scheme(self) -> Literal["wss", "ws"]:
        return "wss" if self.scheme == "https" else "ws"

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.netloc}{path}"

    def socket_url(self, path: str) -> str:
        return f"{self.socket_scheme}://{self.netloc}{path}"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


def split_url(text: str) -> SplitResult:
    """``urlsplit`` whose port is checked as well. Raises ValueError with what was expected."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("a well-formed address") from None
    if any(char.isspace() or not char.isprintable() for char in text):
        raise ValueError("an address without spaces")
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
