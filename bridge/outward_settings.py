"""What we ask others for ourselves: Twilio's REST API, the mail server, the operator's look-ups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from pydantic import SecretStr

from bridge.environment import Environment, shown
from bridge.origin import is_loopback, split_url
from dispatch.mail import Encryption, MailSettings

DEFAULT_PORTS = {"smtp": 587, "smtps": 465}
DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class OutwardSettings:
    """``variables`` are those of the environment: triage files name the ones that hold secrets."""

    rest_url: str | None = None
    """Stands for every address of Twilio's REST API; only ever this machine's."""
    region: str | None = None
    edge: str | None = None
    mail: MailSettings | None = None
    context_ttl_s: float = DAY_S
    """How long an address of ``/context`` can be used."""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        password = self.mail.password if self.mail is not None else None
        return () if password is None else (password,)

    def secret(self, name: str) -> SecretStr | None:
        """The value behind a name in a triage file; None where it is not set or no header's."""
        value = self.variables.get(name, "").strip()
        usable = value and value.isascii() and value.isprintable()
        return SecretStr(value) if usable else None


def outward_settings(env: Environment, variables: Mapping[str, str]) -> OutwardSettings:
    """One branch of the settings; what is wrong becomes a fault of ``env``."""
    return OutwardSettings(
        rest_url=_rest_url(env),
        region=env.matching("TWILIO_REGION", "[a-z]{2}[0-9]", "a region such as ie1"),
        edge=env.matching("TWILIO_EDGE", "[a-z-]{1,40}", "an edge such as dublin"),
        mail=_mail(env),
        context_ttl_s=env.number("CONTEXT_TTL_S", DAY_S, 60, 7 * DAY_S),
        variables=dict(variables),
    )


def _rest_url(env: Environment) -> str | None:
    url = env.text("TWILIO_REST_URL")
    if not url:
        return None
    try:
        parts = split_url(url)
        if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
            raise ValueError("a simulator on this machine such as http://127.0.0.1:8090")
        if parts.path not in ("", "/") or parts.query or "@" in parts.netloc:
            raise ValueError("scheme, host and port only")
    except ValueError as expected:
        env.fault(f"TWILIO_REST_URL is {shown(url)}, expected {expected}")
        return None
    return url.rstrip("/")


def _mail(env: Environment) -> MailSettings | None:
    """SMTP_URL is never shown: it holds a password."""
    url = env.text("SMTP_URL")
    sender = env.matching("SMTP_FROM", r"[^\s<>@]+@[^\s<>@]+", "an address such as triage@acme.com")
    if env.has("SMTP_URL") != env.has("SMTP_FROM"):
        env.fault("SMTP_URL and SMTP_FROM belong together, but only one is set")
    if not url:
        return None
    try:
        parts = split_url(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError("smtp://user:password@host:587 or smtps://user:password@host:465")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("nothing behind host and port")
        if (parts.username is None) != (parts.password is None):
            raise ValueError("a user with a password, or neither")
    except ValueError as expected:
        env.fault(f"SMTP_URL cannot be used, expected {expected}")
        return None
    return MailSettings(
        host=parts.hostname,
        port=parts.port or DEFAULT_PORTS[parts.scheme],
        sender=sender or "",
        encryption=_encryption(parts.scheme, parts.hostname),
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else SecretStr(unquote(parts.password)),
    )


def _encryption(scheme: str, host: str) -> Encryption:
    """Words of a call leave this machine encrypted or not at all."""
    if scheme == "smtps":
        return "tls"
    return "none" if is_loopback(host) else "starttls"
