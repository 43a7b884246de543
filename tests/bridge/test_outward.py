"""What we ask others for ourselves: settings, and what must be there before calls are taken."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge.config import Settings
from bridge.errors import ConfigurationError
from bridge.outward import Outward, rest_settings
from bridge.tenants import tenants_of
from dispatch.mail import MailSettings
from dispatch.rest_client import RestSettings

ACCOUNT, KEY = "AC" + "a" * 32, "SK" + "b" * 32
EXAMPLE = Path(__file__).parents[2] / "examples" / "acme-plumbing.toml"
ENVIRON = {
    "OPENAI_API_KEY": "sk-made-up",
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": "first,second",
    "PUBLIC_URL": "https://voice.example.com",
    "FALLBACK_URL": "https://ivr.example.com/today",
}
MAIL = {"SMTP_URL": "smtps://triage:p%40ss@mail.example.com", "SMTP_FROM": "triage@acme.example"}


def settings(**changes: str) -> Settings:
    return Settings.from_env(ENVIRON | changes)


def faults(**changes: str) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        settings(**changes)
    return error.value.faults


# --- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "smtps://triage:p%40ss@mail.example.com",
            MailSettings(
                "mail.example.com", 465, "t@a.example", "tls", "triage", SecretStr("p@ss")
            ),
        ),
        (
            "smtp://mail.example.com",
            MailSettings("mail.example.com", 587, "t@a.example", "starttls"),
        ),
        ("smtp://127.0.0.1:2525", MailSettings("127.0.0.1", 2525, "t@a.example", "none")),
    ],
    ids=["tls", "starttls", "this machine"],
)
def test_mail_leaves_this_machine_encrypted(url: str, expected: MailSettings) -> None:
    assert settings(SMTP_URL=url, SMTP_FROM="t@a.example").outward.mail == expected


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"SMTP_URL": "smtp://mail.example"}, "SMTP_URL and SMTP_FROM belong together"),
        ({"SMTP_FROM": "t@a.example"}, "SMTP_URL and SMTP_FROM belong together"),
        ({**MAIL, "SMTP_FROM": "nobody"}, "SMTP_FROM is 'nobody', expected an address"),
        ({**MAIL, "SMTP_URL": "http://x"}, "SMTP_URL cannot be used, expected smtp://user"),
        ({**MAIL, "SMTP_URL": "smtp://u@h"}, "expected a user with a password, or neither"),
        ({**MAIL, "SMTP_URL": "smtp://h/inbox"}, "expected nothing behind host and port"),
        ({"TWILIO_REST_URL": "https://api.example.com"}, "expected a simulator on this machine"),
        ({"TWILIO_REST_URL": "http://127.0.0.1:1/x"}, "expected scheme, host and port only"),
        ({"CONTEXT_TTL_S": "5"}, "CONTEXT_TTL_S is '5'"),
        ({"TWILIO_REGION": "Ireland"}, "TWILIO_REGION is 'Ireland', expected a region"),
    ],
)
def test_what_cannot_be_used_is_named(changes: Mapping[str, str], fault: str) -> None:
    assert any(fault in one for one in faults(**changes)), faults(**changes)


def test_a_password_is_never_shown() -> None:
    made = settings(**MAIL, CRM_TOKEN="crm-secret")
    assert "p@ss" not in repr(made)
    assert "crm-secret" not in repr(made)
    assert SecretStr("p@ss") in made.secrets
    wrong = faults(SMTP_URL="smtp://triage:p%40ss@[::1", SMTP_FROM="t@a.example")
    assert not any("p%40ss" in fault for fault in wrong)


def test_an_api_key_is_used_rather_than_the_token() -> None:
    token = settings(TWILIO_REST_URL="http://127.0.0.1:8090/", TWILIO_REGION="ie1")
    assert rest_settings(token.twilio, token.outward) == RestSettings(
        ACCOUNT, ACCOUNT, SecretStr("first"), "http://127.0.0.1:8090", "ie1", None
    )
    key = settings(TWILIO_API_KEY=KEY, TWILIO_API_SECRET="secret")
    assert rest_settings(key.twilio, key.outward) == RestSettings(ACCOUNT, KEY, SecretStr("secret"))


# --- before calls are taken -----------------------------------------------------------------


def opened(made: Settings) -> Outward:
    return Outward(made, tenants_of(made), random.Random(1))


async def test_a_page_by_mail_needs_a_mail_server() -> None:
    with pytest.raises(ConfigurationError) as error:
        opened(settings(TRIAGE_FILE=str(EXAMPLE)))
    assert error.value.faults == [
        (
            "tenant acme-plumbing: routes.page_owner sends e-mail, but SMTP_URL and SMTP_FROM "
            "are not set"
        )
    ]
    await opened(settings(TRIAGE_FILE=str(EXAMPLE), **MAIL)).close()


async def test_the_secret_of_a_look_up_has_to_be_there(tmp_path: Path) -> None:
    tool = (
        '\n[[tool]]\nname = "customer"\ndescription = "A customer."\n'
        'url = "https://crm.example/x"\nsecret_env = "CRM_TOKEN"\nsecret_header = "X-Key"\n'
    )
    file = tmp_path / "acme.toml"
    file.write_text(EXAMPLE.read_text(encoding="utf-8") + tool, encoding="utf-8")
    fits = {"TRIAGE_FILE": str(file), **MAIL}
    with pytest.raises(ConfigurationError) as error:
        opened(settings(**fits))
    assert error.value.faults == [
        (
            "CRM_TOKEN is not set, or not printable ASCII; tool 'customer' of tenant "
            "'acme-plumbing' sends it as X-Key"
        )
    ]
    await opened(settings(**fits, CRM_TOKEN="crm-secret")).close()


async def test_in_development_nothing_has_to_be_there() -> None:
    made = Settings.from_env(
        {"OPENAI_API_KEY": "sk-made-up", "TRIAGE_FILE": str(EXAMPLE)}, insecure_local=True
    )
    outward = opened(made)
    assert outward.rest is None
    await outward.close()
