"""E-mail by SMTP: one message on one connection, encrypted unless the server is this machine."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal, TypeAlias

import aiosmtplib
from pydantic import SecretStr

Encryption: TypeAlias = Literal["tls", "starttls", "none"]

SEND_WITHIN_S = 15.0
_ANSWER_WITHIN_S = 10.0


class MailError(Exception):
    """The message was not taken. ``in_doubt``: it may have been, since no answer came.

    ``for_good``: the server will not take it however often it is asked.
    """

    def __init__(self, what: str, *, in_doubt: bool = False, for_good: bool = False) -> None:
        self.in_doubt = in_doubt
        self.for_good = for_good
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class MailSettings:
    """``sender`` is the address in From. ``starttls`` encrypts after a first hello in the clear."""

    host: str
    port: int
    sender: str
    encryption: Encryption
    user: str | None = None
    password: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """``identity`` is the same for each attempt at this message: mail programs show it once."""

    to: str
    subject: str
    text: str
    identity: str
    sent_at: datetime


async def send_mail(settings: MailSettings, mail: Mail) -> str:
    """The Message-ID. Raises MailError."""
    try:
        message = _message(settings, mail)
    except ValueError:  # a line feed in a header, which says nothing of what was to be sent
        raise MailError("the message's headers cannot be written", for_good=True) from None
    sent = False
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        use_tls=settings.encryption == "tls",
        start_tls=False,
        timeout=_ANSWER_WITHIN_S,
    )
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            await client.connect()
            await _encrypt(client, settings)
            await _log_in(client, settings)
            sent = True
            await client.send_message(message)
    except aiosmtplib.SMTPRecipientsRefused as refused:
        codes = {one.code for one in refused.recipients}
        raise _refusal(max(codes, default=500)) from None
    except aiosmtplib.SMTPResponseException as refused:
        raise _refusal(refused.code) from None
    except aiosmtplib.SMTPNotSupported as lacking:
        raise MailError(f"SMTP server cannot take it: {lacking.message}", for_good=True) from None
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        what = f"SMTP server did not answer ({type(error).__name__})"
        raise MailError(what, in_doubt=sent) from None
    except ValueError as error:  # UnicodeError: a host name that no server can have
        what = f"SMTP server cannot be asked ({type(error).__name__})"
        raise MailError(what, in_doubt=sent) from None
    finally:
        await _leave(client)
    return str(message["Message-ID"])


async def _encrypt(client: aiosmtplib.SMTP, settings: MailSettings) -> None:
    if settings.encryption != "starttls":
        return
    await client.ehlo()
    if not client.supports_extension("starttls"):
        raise MailError("SMTP server offers no encryption", for_good=True)
    await client.starttls()


async def _log_in(client: aiosmtplib.SMTP, settings: MailSettings) -> None:
    if settings.user is not None and settings.password is not None:
        await client.login(settings.user, settings.password.get_secret_value())


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Politely where the server still listens; the message's fate is known already."""
    try:
        async with asyncio.timeout(1.0):
            if client.is_connected:
                await client.quit()
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        pass
    finally:
        client.close()


def _refusal(code: int) -> MailError:
    """4yz is for now, 5yz for good (RFC 5321, 4.2.1)."""
    return MailError(f"SMTP server refused with {code}", for_good=code >= 500)


def _message(settings: MailSettings, mail: Mail) -> EmailMessage:
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.sent_at)
    domain = settings.sender.rpartition("@")[2].rstrip(">") or "triage-bridge.invalid"
    digest = hashlib.sha256(mail.identity.encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{digest}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Priority"] = "1"
    message.set_content(mail.text)
    return message
