"""SMTP as servers in the field want it: logins, encryption, silence."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from pydantic import SecretStr

from dispatch.mail import Mail, MailError, MailSettings, send_mail
from loadtest.bench.certificate import make_certificate
from tests.dispatch.wires import NOW, Mailbox, mail_server

MAIL = Mail("owner@acme.example", "Grüße: emergency", "Rohrbruch in der Küche.\n", "CA1/0", NOW)


def plain(mailbox: Mailbox) -> MailSettings:
    return MailSettings("127.0.0.1", mailbox.port, "ACME <triage@acme.example>", "none")


async def test_a_message_in_any_language_arrives_whole() -> None:
    async with mail_server(Mailbox()) as mailbox:
        sent = await send_mail(plain(mailbox), MAIL)
    (message,) = mailbox.taken
    assert message["Subject"] == "Grüße: emergency"
    assert isinstance(message, EmailMessage)
    assert message.get_content().split("\r\n") == ["Rohrbruch in der Küche.", ""]
    assert message["Date"] == "Wed, 12 Aug 2026 13:12:00 +0000"
    assert sent.endswith("@acme.example>")


async def test_the_user_logs_in() -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox, authenticator=mailbox.log_in, auth_require_tls=False):
        settings = replace(plain(mailbox), user="triage", password=SecretStr("secret"))
        await send_mail(settings, MAIL)
    assert mailbox.logins == [("triage", "secret")]
    assert len(mailbox.taken) == 1


async def test_a_wrong_password_is_refused_for_good() -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox, authenticator=mailbox.log_in, auth_require_tls=False):
        settings = replace(plain(mailbox), user="triage", password=SecretStr("wrong"))
        with pytest.raises(MailError, match="refused with 535") as error:
            await send_mail(settings, MAIL)
    assert error.value.for_good
    assert not mailbox.taken


async def test_a_server_without_encryption_gets_nothing_where_it_is_asked_for() -> None:
    async with mail_server(Mailbox()) as mailbox:
        with pytest.raises(MailError, match="offers no encryption"):
            await send_mail(replace(plain(mailbox), encryption="starttls"), MAIL)
        assert not mailbox.taken


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tmp_path: Path) -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox, tls_context=make_certificate(tmp_path).server_context()):
        with pytest.raises(MailError, match="did not answer"):
            await send_mail(replace(plain(mailbox), encryption="starttls"), MAIL)
        assert not mailbox.taken


async def test_a_host_name_that_no_server_can_have_is_a_mail_that_was_not_taken() -> None:
    settings = MailSettings("smtp..example.com", 25, "triage@acme.example", "none")
    with pytest.raises(MailError, match=r"cannot be asked \(Unicode\w*Error\)") as error:
        await send_mail(settings, MAIL)
    assert (error.value.in_doubt, error.value.for_good) == (False, False)


async def test_a_header_of_two_lines_is_refused_without_a_word_of_it() -> None:
    async with mail_server(Mailbox()) as mailbox:
        with pytest.raises(MailError, match="headers cannot be written") as error:
            await send_mail(plain(mailbox), replace(MAIL, subject="Ada Smith\nBcc: x@y.example"))
        assert not mailbox.taken
    assert error.value.for_good


async def test_a_server_that_breaks_off_after_the_message_leaves_it_in_doubt() -> None:
    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        for answer in (b"250 hello\r\n", b"250 sender\r\n", b"250 recipient\r\n", b"354 go on\r\n"):
            await reader.readline()
            writer.write(answer)
        await reader.readuntil(b"\r\n.\r\n")
        writer.close()

    server = await asyncio.start_server(breaks_off, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(MailError, match="did not answer") as error:
            await send_mail(MailSettings("127.0.0.1", port, "triage@acme.example", "none"), MAIL)
    assert (error.value.in_doubt, error.value.for_good) == (True, False)
