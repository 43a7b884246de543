"""Who may open the media socket."""

from __future__ import annotations

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from bridge.config import Settings
from bridge.web.signatures import upgrade_gate
from tests.bridge.web.conftest import ENVIRON, TOKEN


def verdict(signed_as: str, target: str = "/media", **environ: str) -> str | None:
    gate = upgrade_gate(Settings.from_env(ENVIRON | environ))
    signature = RequestValidator(TOKEN).compute_signature(signed_as, {})
    return gate(target, {"x-twilio-signature": signature})


SIGNED_AS = {
    "the address of the TwiML": ("wss://voice.example.com/media", None),
    "with a slash behind": ("wss://voice.example.com/media/", None),
    "with its port": ("wss://voice.example.com:443/media", None),
    "with its port and a slash": ("wss://voice.example.com:443/media/", None),
    "with the port of http, as the library guesses": (
        "wss://voice.example.com:80/media",
        "signature_wrong",
    ),
    "as https": ("https://voice.example.com/media", "signature_wrong"),
    "as ws": ("ws://voice.example.com/media", "signature_wrong"),
    "of another host": ("wss://evil.example.com/media", "signature_wrong"),
}


@pytest.mark.parametrize(("signed_as", "reason"), SIGNED_AS.values(), ids=SIGNED_AS.keys())
def test_the_handshake_is_signed_as_wss(signed_as: str, reason: str | None) -> None:
    assert verdict(signed_as) == reason


def test_the_library_and_the_gate_agree_on_the_plain_address() -> None:
    url = "wss://voice.example.com/media"
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    assert RequestValidator(TOKEN).validate(url, {}, signature)
    assert verdict(url) is None


def test_a_public_port_may_be_in_what_was_signed_or_not() -> None:
    public = "https://voice.example.com:8443"
    assert verdict("wss://voice.example.com:8443/media", PUBLIC_URL=public) is None
    assert verdict("wss://voice.example.com/media", PUBLIC_URL=public) is None


def test_on_loopback_a_plain_socket_keeps_its_port() -> None:
    public = "http://127.0.0.1:8080"
    assert verdict("ws://127.0.0.1:8080/media", PUBLIC_URL=public) is None
    assert verdict("ws://127.0.0.1/media", PUBLIC_URL=public) == "signature_wrong"


def test_an_ipv6_origin_is_not_cut_at_its_colons() -> None:
    assert verdict("wss://[::1]:8443/media", PUBLIC_URL="https://[::1]:8443") is None


def test_no_signature_and_an_unknown_algorithm_are_named() -> None:
    gate = upgrade_gate(Settings.from_env(ENVIRON))
    assert gate("/media", {}) == "signature_missing"
    assert gate("/media", {"x-twilio-signature": ""}) == "signature_missing"
    unknown = {
        "x-twilio-signature": "x",
        "x-twilio-webhooks-signature-settings": "key=1,algorithm=none",
    }
    assert gate("/media", unknown) == "signature_algorithm_unknown"


@pytest.mark.parametrize("target", ["/", "/voice", "/mediax", "//media", "/media/x", "*"])
def test_only_the_media_path_is_open(target: str) -> None:
    assert verdict(f"wss://voice.example.com{target}", target) == "path_unknown"


def test_insecure_local_asks_for_nothing_but_the_path() -> None:
    settings = Settings.from_env({"REALTIME_URL": "ws://127.0.0.1:1/x"}, insecure_local=True)
    gate = upgrade_gate(settings)
    assert (gate("/media", {}), gate("/media/", {}), gate("/x", {})) == (None, None, "path_unknown")
