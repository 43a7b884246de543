"""Who is let in: signatures, SIDs and sizes, on every webhook."""

from __future__ import annotations

import asyncio

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from tests.bridge.web.conftest import (
    ACCOUNT,
    CALL,
    ENVIRON,
    INCOMING,
    PUBLIC,
    TOKEN,
    Reply,
    ServeSite,
    Site,
)

WEBHOOKS = ["/voice", "/after", "/after/token-1", "/status"]
FORM = b"CallSid=" + CALL.encode() + b"&AccountSid=" + ACCOUNT.encode()


@pytest.mark.parametrize("target", WEBHOOKS)
async def test_a_signed_request_is_let_in(target: str, site: Site) -> None:
    assert (await site.post(target)).status in (200, 204)


@pytest.mark.parametrize("target", WEBHOOKS)
async def test_an_unsigned_request_is_not(target: str, site: Site) -> None:
    assert await site.send("POST", target, FORM) == Reply(
        403, "X-Twilio-Signature is missing", "text/plain"
    )


@pytest.mark.parametrize("target", WEBHOOKS)
async def test_a_wrong_signature_is_not(target: str, site: Site) -> None:
    reply = await site.send("POST", target, FORM, {"X-Twilio-Signature": "bm90IGl0"})
    assert reply == Reply(
        403, "X-Twilio-Signature does not fit this request, PUBLIC_URL and token", "text/plain"
    )


@pytest.mark.parametrize("signature", ["\xff\xfe", "=" * 4000, "sha1=abc"])
async def test_a_signature_of_any_shape_is_only_wrong(signature: str, site: Site) -> None:
    reply = await site.send(
        "POST", "/voice", FORM, {"X-Twilio-Signature": signature.encode("utf-8").decode("latin-1")}
    )
    assert reply.status == 403


async def test_a_changed_field_breaks_the_signature(site: Site) -> None:
    signature = site.signer.compute_signature(f"{PUBLIC}/voice", INCOMING)
    body = "&".join(f"{k}={v}" for k, v in {**INCOMING, "From": "x"}.items())
    reply = await site.send("POST", "/voice", body.encode(), {"X-Twilio-Signature": signature})
    assert reply.status == 403


SIGNED_AS = {
    "as configured": (PUBLIC + "/voice", 200),
    "with the port of https": (PUBLIC + ":443/voice", 200),
    "with a foreign port": (PUBLIC + ":8443/voice", 403),
    "as plain http": ("http://voice.example.com/voice", 403),
    "for another path": (PUBLIC + "/status", 403),
    "with a slash behind": (PUBLIC + "/voice/", 403),
    "for another host": ("https://evil.example.com/voice", 403),
}


@pytest.mark.parametrize(("signed_as", "status"), SIGNED_AS.values(), ids=SIGNED_AS.keys())
async def test_the_address_is_signed_with_the_request(
    signed_as: str, status: int, site: Site
) -> None:
    assert (await site.post("/voice", signed_as=signed_as)).status == status


async def test_a_configured_port_may_be_missing_from_what_was_signed(serve: ServeSite) -> None:
    """Twilio takes the port out of https addresses before it signs."""
    site = await serve(PUBLIC_URL=PUBLIC + ":8443")
    statuses = [
        (await site.post("/voice", signed_as=signed_as)).status
        for signed_as in (PUBLIC + "/voice", PUBLIC + ":8443/voice", PUBLIC + ":443/voice")
    ]
    assert statuses == [200, 200, 403]


@pytest.mark.parametrize("query", ["?a=1&b=2", "?b=%20x&a=", "?n=J%C3%BCrgen+M", "?flag"])
async def test_the_query_is_signed_exactly_as_it_came(query: str, site: Site) -> None:
    assert (await site.post(f"/voice{query}")).status == 200
    assert (await site.post(f"/voice{query}", signed_as=f"{PUBLIC}/voice")).status == 403


async def test_forwarding_headers_change_nothing(site: Site) -> None:
    forged = {
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example.com",
        "X-Forwarded-Port": "8080",
        "Forwarded": "host=evil.example.com;proto=http",
    }
    assert (await site.post("/voice", headers=forged)).status == 200
    evil = await site.post("/voice", signed_as="http://evil.example.com/voice", headers=forged)
    assert evil.status == 403


async def test_blank_and_foreign_characters_are_signed(site: Site) -> None:
    form = INCOMING | {"CallerName": "Zoë & Co. + Söhne", "Empty": "", "FromCity": "東京"}
    assert (await site.post("/voice", form)).status == 200


async def test_any_of_several_tokens_may_have_signed(serve: ServeSite) -> None:
    site = await serve(TWILIO_AUTH_TOKEN="new-token," + TOKEN)
    assert (await site.post("/voice")).status == 200
    site.signer = RequestValidator("new-token")
    assert (await site.post("/voice")).status == 200
    site.signer = RequestValidator("new-token," + TOKEN)
    assert (await site.post("/voice")).status == 403


async def test_sha256_signatures_are_taken_and_unknown_ones_are_not(site: Site) -> None:
    signature = site.signer.compute_signature(f"{PUBLIC}/voice", INCOMING, "HMAC_SHA256")
    statuses = []
    for algorithm in ("HMAC_SHA256", "HMAC_SHA1", "HMAC_MD5"):
        settings = {
            "X-Twilio-Signature": signature,
            "X-Twilio-Webhooks-Signature-Settings": f"key=webhooks_1,algorithm={algorithm}",
        }
        statuses.append((await site.post("/voice", headers=settings)).status)
    assert statuses == [200, 403, 403]


async def test_a_call_of_another_account_is_refused(site: Site) -> None:
    reply = await site.post("/voice", INCOMING | {"AccountSid": "AC" + "b" * 32})
    assert reply == Reply(403, "AccountSid is not the account served here", "text/plain")


BAD_SIDS = {
    "no CallSid": ({"CallSid": ""}, "CallSid is missing"),
    "a short CallSid": ({"CallSid": "CA12"}, "CallSid is 4 characters"),
    "a SID of something else": ({"CallSid": "SM" + "0" * 32}, "CallSid is 34 characters"),
    "no AccountSid": ({"AccountSid": ""}, "AccountSid is missing"),
}


@pytest.mark.parametrize(("change", "message"), BAD_SIDS.values(), ids=BAD_SIDS.keys())
async def test_a_bad_sid_is_named(change: dict[str, str], message: str, site: Site) -> None:
    reply = await site.post("/voice", INCOMING | change)
    assert (reply.status, reply.text.split(", expected")[0]) == (400, message)


async def test_a_body_beyond_its_bound_is_refused(site: Site) -> None:
    fits = INCOMING | {"x": "a" * 60_000}
    assert (await site.post("/voice", fits)).status == 200
    assert await site.post("/voice", INCOMING | {"x": "a" * 65_536}) == Reply(
        413, "the body has more than 65536 bytes", "text/plain"
    )


async def test_a_body_that_is_no_form_is_refused(site: Site) -> None:
    signed = {"X-Twilio-Signature": "any"}
    json = {**signed, "Content-Type": "application/json"}
    assert [
        (await site.send("POST", "/voice", b"{}", json)).status,
        (await site.send("POST", "/voice", b"a=\xff%ff", signed)).status,
        (await site.send("POST", "/voice", b"a=1&" * 600, signed)).status,
    ] == [415, 400, 400]


async def test_a_webhook_by_get_is_told_the_method(site: Site) -> None:
    assert (await site.send("GET", "/voice")).status == 405


async def test_a_body_that_never_ends_is_not_waited_for(serve: ServeSite) -> None:
    """Unfinished, it cannot have been verified; the caller still gets today's flow."""
    site = await serve(ANSWER_WAIT_S="0.2")
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(
        b"POST /voice HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: x\r\nContent-Length: 50\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nCallSid="
    )
    answer = await reader.readuntil(b"</Response>")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert ENVIRON["FALLBACK_URL"].replace("&", "&amp;").encode() in answer
