"""What the store needs from the environment.

A tenant's own value stands behind the tenant's name: ``DATABASE_URL_ACME_PLUMBING`` and
``RETENTION_DAYS_ACME_PLUMBING`` for ``acme-plumbing``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from bridge.environment import Environment, shown
from bridge.errors import ConfigurationError

DATABASE_URL = "DATABASE_URL"
RETENTION_DAYS = "RETENTION_DAYS"
DEFAULT_RETENTION_DAYS = 30
MAX_RETENTION_DAYS = 3650


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """URLs hold passwords, hence the secrets. Tenants are named as in the environment."""

    url: SecretStr
    data_keys: tuple[SecretStr, ...] = ()
    """Fernet keys: the first one writes, all of them read. None: nothing is encrypted."""
    retention_days: int = DEFAULT_RETENTION_DAYS
    prices_file: Path | None = None
    """None: the prices that ship with this package."""
    tenant_urls: Mapping[str, SecretStr] = field(default_factory=dict)
    tenant_retention_days: Mapping[str, int] = field(default_factory=dict)

    def url_of(self, tenant: str) -> SecretStr:
        return self.tenant_urls.get(environment_name(tenant), self.url)

    def variable_of(self, url: str) -> str:
        """The first variable with this address: what the operator looks for when it is no good."""
        for tenant, theirs in self.tenant_urls.items():
            if theirs.get_secret_value() == url != self.url.get_secret_value():
                return f"{DATABASE_URL}_{tenant}"
        return DATABASE_URL

    def retention_days_of(self, tenant: str) -> int:
        return self.tenant_retention_days.get(environment_name(tenant), self.retention_days)

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """Everything that must never be shown: passwords, as written and as meant, and keys."""
        urls = (url.get_secret_value() for url in (self.url, *self.tenant_urls.values()))
        written = [password for url in urls if (password := urlsplit(url).password)]
        meant = [unquote(password) for password in written]
        return (*map(SecretStr, dict.fromkeys([*written, *meant])), *self.data_keys)

    def check_tenants(self, tenants: Collection[str]) -> None:
        """Raises ConfigurationError for a variable that names no tenant, or more than one.

        Data that belongs apart must not end up together because of a typing error.
        """
        by_name: dict[str, list[str]] = {}
        for tenant in tenants:
            by_name.setdefault(environment_name(tenant), []).append(tenant)
        faults = []
        for variable, names in (
            (DATABASE_URL, self.tenant_urls),
            (RETENTION_DAYS, self.tenant_retention_days),
        ):
            for name in names:
                meant = by_name.get(name, [])
                if len(meant) != 1:
                    whom = " and ".join(meant) or "no tenant"
                    faults.append(f"{variable}_{name} is for {whom}, expected one tenant")
        if faults:
            raise ConfigurationError(faults)


def environment_name(tenant: str) -> str:
    return tenant.upper().replace("-", "_")


def read_store_settings(environ: Mapping[str, str]) -> StoreSettings:
    """Raises ConfigurationError with every fault found."""
    env = Environment(environ)
    settings = store_settings(env, environ)
    if env.faults:
        raise ConfigurationError(env.faults)
    return settings


def store_settings(env: Environment, names: Collection[str]) -> StoreSettings:
    """One branch of the settings. ``names``: all variables there are, to find those of tenants."""
    return StoreSettings(
        url=_url(env, DATABASE_URL) or SecretStr(_default_url(env)),
        data_keys=_data_keys(env),
        retention_days=_days(env, RETENTION_DAYS),
        prices_file=_prices_file(env),
        tenant_urls={
            tenant: url
            for tenant in _tenants(env, names, DATABASE_URL)
            if (url := _url(env, f"{DATABASE_URL}_{tenant}")) is not None
        },
        tenant_retention_days={
            tenant: _days(env, f"{RETENTION_DAYS}_{tenant}")
            for tenant in _tenants(env, names, RETENTION_DAYS)
        },
    )


def _tenants(env: Environment, names: Collection[str], variable: str) -> list[str]:
    prefix = f"{variable}_"
    found = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return sorted(tenant for tenant in found if env.has(prefix + tenant))


def _url(env: Environment, name: str) -> SecretStr | None:
    text = env.text(name)
    if not text:
        return None
    # Imported here: commands that need no database start without SQLAlchemy.
    from bridge.store.address import database_url

    try:
        database_url(text)
    except ValueError as expected:
        env.fault(f"{name} is not the address of a database, expected {expected}")
    return SecretStr(text)


def _data_keys(env: Environment) -> tuple[SecretStr, ...]:
    keys = env.secrets("DATA_KEYS")
    if keys:
        from bridge.store.cipher import DataCipher

        _checked(env, lambda: DataCipher(keys))
    return keys


def _checked(env: Environment, make: Callable[[], object]) -> None:
    """Faults that show when a value is used are told with all others."""
    try:
        make()
    except ConfigurationError as error:
        for fault in error.faults:
            env.fault(fault)


def _default_url(env: Environment) -> str:
    home = env.text("XDG_STATE_HOME") or str(Path(env.text("HOME", ".")) / ".local" / "state")
    return f"sqlite:///{Path(home) / 'triage-bridge' / 'calls.db'}"


def _days(env: Environment, name: str) -> int:
    return env.integer(name, DEFAULT_RETENTION_DAYS, 1, MAX_RETENTION_DAYS)


def _prices_file(env: Environment) -> Path | None:
    text = env.text("PRICES_FILE")
    if not text:
        return None
    path = Path(text)
    if not path.is_file():
        env.fault(f"PRICES_FILE is {shown(text)}, expected a file")
    else:
        from bridge.store.prices import read_prices

        _checked(env, lambda: read_prices(path))
    return path
