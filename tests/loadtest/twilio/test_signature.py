"""Our signatures against Twilio's own validator."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from loadtest.twilio.signature import Signing, sign, signature_for, webhook_url_to_sign

TOKEN = "12345"
texts = st.text(max_size=30)


@given(params=st.dictionaries(st.text(string.ascii_letters, min_size=1), texts, max_size=8))
def test_twilios_validator_accepts_what_we_sign(params: dict[str, str]) -> None:
    url = "https://bridge.example/voice?a=1&b=%20x"
    assert RequestValidator(TOKEN).validate(url, params, sign(url, params, TOKEN))


def test_the_example_of_the_security_page_comes_out() -> None:
    params = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert sign(url, params, TOKEN) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://b.example:8443/voice", "https://b.example/voice"),
        ("https://me:secret@b.example/voice", "https://b.example/voice"),
        ("http://b.example:8080/voice", "http://b.example:8080/voice"),
        ("https://b.example/voice#rc=2", "https://b.example/voice"),
        ("https://b.example/voice?x=1", "https://b.example/voice?x=1"),
    ],
    ids=["https port", "user information", "http port", "fragment", "query"],
)
def test_what_of_a_webhook_url_is_signed(url: str, signed: str) -> None:
    assert webhook_url_to_sign(url) == signed


@pytest.mark.parametrize(
    ("signing", "accepted"),
    [
        (Signing.EXACT, "wss://b.example/media"),
        (Signing.TRAILING_SLASH, "wss://b.example/media/"),
        (Signing.PORT_443, "wss://b.example:443/media"),
    ],
    ids=lambda value: value.value if isinstance(value, Signing) else "",
)
def test_a_stream_is_signed_in_the_form_asked_for(signing: Signing, accepted: str) -> None:
    signature = signature_for("wss://b.example/media", {}, TOKEN, signing)
    assert signature is not None
    candidates = [
        "wss://b.example/media",
        "wss://b.example/media/",
        "wss://b.example:443/media",
    ]
    valid = [url for url in candidates if signature == sign(url, {}, TOKEN)]
    assert valid == [accepted]
    assert RequestValidator(TOKEN).validate(accepted, {}, signature)


def test_a_wrong_signature_is_refused_and_a_missing_one_is_none() -> None:
    url = "https://b.example/voice"
    wrong = signature_for(url, {}, TOKEN, Signing.WRONG)
    assert not RequestValidator(TOKEN).validate(url, {}, wrong)
    assert signature_for(url, {}, TOKEN, Signing.MISSING) is None
