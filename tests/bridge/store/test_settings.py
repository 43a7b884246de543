"""The store's settings."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from bridge.errors import ConfigurationError
from bridge.store.settings import StoreSettings, read_store_settings


def test_without_settings_calls_are_kept_a_month_in_a_file_of_the_users_own() -> None:
    assert read_store_settings({"HOME": "/home/me"}) == StoreSettings(
        url=SecretStr("sqlite:////home/me/.local/state/triage-bridge/calls.db"),
        data_keys=(),
        retention_days=30,
        prices_file=None,
        tenant_urls={},
        tenant_retention_days={},
    )


def test_everything_can_be_set_and_tenants_have_their_own(tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_bytes(resources.files("bridge.store").joinpath("prices.toml").read_bytes())
    new, old = (Fernet.generate_key().decode() for _ in range(2))
    settings = read_store_settings(
        {
            "DATABASE_URL": "postgres://u:p%40ss@h/d",
            "DATABASE_URL_ACME_PLUMBING": "sqlite:///acme.db",
            "DATA_KEYS": f"{new},{old}",
            "RETENTION_DAYS": "90",
            "RETENTION_DAYS_CLINIC": "7",
            "PRICES_FILE": str(prices),
        }
    )
    assert settings.url_of("acme-plumbing") == SecretStr("sqlite:///acme.db")
    assert settings.url_of("clinic") == SecretStr("postgres://u:p%40ss@h/d")
    assert [settings.retention_days_of(t) for t in ("clinic", "acme-plumbing")] == [7, 90]
    assert settings.data_keys == (SecretStr(new), SecretStr(old))
    assert settings.prices_file == prices
    secrets = [secret.get_secret_value() for secret in settings.secrets]
    assert secrets == ["p%40ss", "p@ss", new, old]


def test_all_that_is_wrong_is_named_at_once_and_no_password_repeated() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_store_settings(
            {
                "DATABASE_URL": "mysql://u:hunter2@h/d",
                "DATABASE_URL_CLINIC": "postgres://u:hunter2@h",
                "RETENTION_DAYS": "0",
                "RETENTION_DAYS_CLINIC": "ever",
                "PRICES_FILE": "/nowhere/prices.toml",
                "DATA_KEYS": "my-key",
            }
        )
    assert [fault.split(",")[0] for fault in refused.value.faults] == [
        "DATABASE_URL is not the address of a database",
        "DATA_KEYS: key 1 is not 32 bytes in URL-safe base64 (44 characters)",
        "RETENTION_DAYS is '0'",
        "PRICES_FILE is '/nowhere/prices.toml'",
        "DATABASE_URL_CLINIC is not the address of a database",
        "RETENTION_DAYS_CLINIC is 'ever'",
    ]
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("tenants", "fault"),
    [
        (["clinic"], None),
        (["salon"], "DATABASE_URL_CLINIC is for no tenant, expected one tenant"),
    ],
)
def test_a_variable_for_nobody_is_a_fault(tenants: list[str], fault: str | None) -> None:
    settings = read_store_settings({"DATABASE_URL_CLINIC": "sqlite:///clinic.db"})
    if fault is None:
        settings.check_tenants(tenants)
        return
    with pytest.raises(ConfigurationError, match=fault):
        settings.check_tenants(tenants)


def test_a_variable_for_two_tenants_is_a_fault() -> None:
    settings = read_store_settings({"RETENTION_DAYS_A_B": "7"})
    with pytest.raises(ConfigurationError, match="RETENTION_DAYS_A_B is for a-b and a_b"):
        settings.check_tenants(["a-b", "a_b"])
