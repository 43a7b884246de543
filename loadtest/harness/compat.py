"""What other people's bridges need that ours does not.

No signatures, parameters of their own, names that lead to this machine, the Realtime beta's wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from loadtest.twilio import Origins, Signing

Dialect: TypeAlias = Literal["ga", "beta"]
_MOST_PARAMETER_CHARS = 500
"""Of name and value together: Twilio's limit."""


class CompatError(ValueError):
    """A parameter or a name that cannot be used; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Compatibility:
    """``parameters`` go into the ``<Stream>`` of a run that calls the media socket itself.

    ``resolve`` maps public origins to where they are really reached, as ``curl --resolve`` does:
    a bridge behind a tunnel writes its public name into its TwiML.
    """

    dialect: Dialect = "ga"
    signed: bool = True
    parameters: Mapping[str, str] = field(default_factory=dict)
    resolve: Mapping[str, str] = field(default_factory=dict)

    @property
    def signing(self) -> Signing:
        return Signing.EXACT if self.signed else Signing.MISSING

    def reached_at(self, url: str) -> str:
        """The address that is connected to for this URL."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        return Origins(self.resolve, frozenset({origin})).destination(url).address

    def twiml(self, url: str) -> str:
        """The document of a call that goes straight to the media socket."""
        inside = "".join(
            f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>"
            for name, value in self.parameters.items()
        )
        stream = f"<Stream url={quoteattr(url)}>{inside}</Stream>"
        return f"<Response><Connect>{stream}</Connect></Response>"

    def to_json(self) -> dict[str, Any]:
        """Only what differs from a bridge like ours; values of parameters may be secrets."""
        asked: dict[str, Any] = {
            "dialect": self.dialect if self.dialect != "ga" else None,
            "signed": None if self.signed else False,
            "parameters": sorted(self.parameters) or None,
            "resolve": dict(self.resolve) or None,
        }
        return {name: value for name, value in asked.items() if value is not None}


def parse_parameters(texts: Iterable[str]) -> dict[str, str]:
    """``NAME=VALUE`` each; CompatError for what Twilio would not take."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CompatError(f"--parameter {text!r}: expected NAME=VALUE")
        if len(name) + len(value) > _MOST_PARAMETER_CHARS:
            raise CompatError(
                f"--parameter {name}: {len(name) + len(value)} characters of name and value, "
                f"Twilio takes {_MOST_PARAMETER_CHARS}"
            )
        found[name] = value
    return found


def parse_resolve(texts: Iterable[str]) -> dict[str, str]:
    """``https://public.example=http://127.0.0.1:5050`` each."""
    found: dict[str, str] = {}
    for text in texts:
        public, _, local = text.partition("=")
        for origin in (public, local):
            parts = urlsplit(origin)
            plain = not (parts.path.strip("/") or parts.query)
            if parts.scheme not in ("http", "https", "ws", "wss") or not parts.netloc or not plain:
                raise CompatError(
                    f"--resolve {text!r}: {origin!r} is no origin, expected one like "
                    "https://public.example=http://127.0.0.1:5050"
                )
        if _kind(public) != _kind(local):
            raise CompatError(
                f"--resolve {text!r}: expected http for http(s), and ws for ws(s), on both sides"
            )
        found[public.rstrip("/")] = local.rstrip("/")
    return found


def _kind(origin: str) -> str:
    return urlsplit(origin).scheme.removesuffix("s")
