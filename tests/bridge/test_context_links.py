"""Addresses that open one call's record, for a while."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from bridge.context_links import ContextLinks
from bridge.origin import Origin

CALL, OTHER = "CA" + "c" * 32, "CA" + "d" * 32
NOW = 1_700_000_000.0
ORIGIN = Origin.parse("https://voice.example.com")


def links(*tokens: str) -> ContextLinks:
    return ContextLinks(ORIGIN, [SecretStr(token) for token in tokens], ttl_s=600)


def parts(url: str) -> tuple[str, str]:
    query = parse_qs(urlsplit(url).query)
    return query["expires"][0], query["sig"][0]


def test_an_address_opens_its_call_until_it_expires() -> None:
    made = links("one").url(CALL, NOW)
    assert made.startswith(f"https://voice.example.com/context/{CALL}?expires=1700000600&sig=")
    expires, signature = parts(made)
    assert links("one").fault(CALL, expires, signature, NOW + 599) is None
    assert links("one").fault(CALL, expires, signature, NOW + 600) == "expired"


def test_it_opens_no_other_call_no_later_day_and_not_with_another_token() -> None:
    expires, signature = parts(links("one").url(CALL, NOW))
    assert links("one").fault(OTHER, expires, signature, NOW) == "signature_wrong"
    assert links("one").fault(CALL, "1700000601", signature, NOW) == "signature_wrong"
    assert links("two").fault(CALL, expires, signature, NOW) == "signature_wrong"


def test_while_a_token_is_rotated_both_open() -> None:
    for token in ("old", "new"):
        expires, signature = parts(links(token).url(CALL, NOW))
        assert links("new", "old").fault(CALL, expires, signature, NOW) is None


def test_without_a_token_there_is_no_address_and_none_opens() -> None:
    assert links().url(CALL, NOW) == ""
    assert links().fault(CALL, "1700000600", "x", NOW) == "signature_wrong"


def test_a_function_with_the_token_can_make_an_address_as_documented() -> None:
    key = hmac.new(b"one", b"triage-bridge context", hashlib.sha256).digest()
    digest = hmac.new(key, f"{CALL}.1700000600".encode(), hashlib.sha256).digest()
    signature = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert parts(links("one").url(CALL, NOW)) == ("1700000600", signature)


@pytest.mark.parametrize(
    ("expires", "signature", "fault"),
    [
        ("", "x", "signature_missing"),
        ("1700000600", "", "signature_missing"),
        ("1700000600", "ä\ud800", "signature_wrong"),
        ("never", "x", "signature_wrong"),
    ],
)
def test_what_is_no_signature_is_told_apart(expires: str, signature: str, fault: str) -> None:
    assert links("one").fault(CALL, expires, signature, NOW) == fault
