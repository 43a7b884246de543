"""docs/settings.md and .env.example name every variable that is read, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.config import Settings
from bridge.environment import Environment
from bridge.errors import ConfigurationError
from bridge.outward_settings import outward_settings
from bridge.settings_reader import twilio_settings
from bridge.store.settings import read_store_settings

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "settings.md"
EXAMPLE = ROOT / ".env.example"

# Each leads to readers that the others pass by.
ENVIRONMENTS: tuple[Mapping[str, str], ...] = (
    {},
    {"VAD_KIND": "semantic_vad"},
    {"INSTRUCTIONS_FILE": "nowhere.txt"},
    {"GREETING_CACHE": "lines", "DATABASE_URL": "sqlite:///calls.db"},
    {"DATABASE_URL_ACME": "sqlite:///acme.db", "RETENTION_DAYS_ACME": "7"},
)


class Watched(Mapping[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def variables_read(values: Mapping[str, str]) -> set[str]:
    """By everything that looks at the environment: serving, checking, and the store's commands."""
    watched = Watched(values)
    for insecure_local in (False, True):
        with suppress(ConfigurationError):  # of an empty environment, each found by reading
            Settings.from_env(watched, insecure_local=insecure_local)
        env = Environment(watched)
        twilio_settings(env, insecure_local)
        outward_settings(env, watched)
    read_store_settings(watched)
    return {re.sub(r"_ACME$", "_<TENANT>", name) for name in watched.read}


def variables_documented() -> set[str]:
    """From the first column of every table."""
    first_cells = re.findall(r"^\|([^|]+)\|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    names = (re.findall(r"`([A-Z][A-Z0-9_]+(?:<TENANT>)?)`", cell) for cell in first_cells)
    return {name for found in names for name in found}


def test_every_variable_that_is_read_is_documented_and_nothing_else() -> None:
    read = set[str]().union(*(variables_read(values) for values in ENVIRONMENTS))
    assert variables_documented() == read


def test_every_variable_of_the_example_is_documented() -> None:
    named = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) == len(set(named))
    assert set(named) <= variables_documented()


def test_the_example_needs_only_its_secrets_filled_in(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]", line))
    secrets = [name for name, value in values.items() if not value]
    triage = tmp_path / "triage.toml"
    triage.touch()
    filled = {**values, **dict.fromkeys(secrets, "made-up"), "TRIAGE_FILE": str(triage)}
    assert secrets == ["OPENAI_API_KEY", "TWILIO_AUTH_TOKEN"]
    assert Settings.from_env(filled).today.studio_flow_sid == "FW" + "0" * 32


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("POOL_SIZE", "2"),
        ("POOL_MAX_AGE_S", "1500"),
        ("MAX_CALLS", "300"),
        ("MAX_HOPS", "2"),
        ("STREAM_TOKEN_TTL_S", "60"),
        ("ANSWER_WAIT_S", "2.5"),
        ("CLOSING_WAIT_S", "2.5"),
        ("DRAIN_S", "60"),
        ("CONTEXT_TTL_S", "86400"),
        ("RETENTION_DAYS", "30"),
        ("BREAKER_FAILURES", "5"),
        ("BREAKER_OPEN_S", "15"),
        ("MAX_LOOP_DELAY_MS", "100"),
        ("MODEL_TOKEN_RESERVE", "10"),
        ("MODEL_TOKENS_PER_CALL", "2000"),
    ],
)
def test_the_documented_default_is_the_one_in_force(name: str, default: str) -> None:
    """A default that is set explicitly changes nothing."""
    row = re.search(
        rf"^\| `{name}`[^|]*\| `?([^|`]+)`? \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert row is not None
    assert row.group(1).strip() == default
    local = {"REALTIME_URL": "ws://127.0.0.1:9000/v1/realtime"}
    unset = Settings.from_env(local, insecure_local=True)
    stated = Settings.from_env({**local, name: default}, insecure_local=True)
    assert without_variables(stated) == without_variables(unset)


def without_variables(settings: Settings) -> Settings:
    """Without the copy of the environment that triage files' secrets are looked up in."""
    return replace(settings, outward=replace(settings.outward, variables={}))
