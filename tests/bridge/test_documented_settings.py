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


def rows() -> dict[str, tuple[str, str]]:
    """Default and range of every variable that has a row of its own."""
    pattern = r"^\| `([A-Z][A-Z0-9_]+(?:<TENANT>)?)` \|([^|]*)\|([^|]*)\|"
    found = re.findall(pattern, DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (default.strip(), allowed.strip()) for name, default, allowed in found}


ROWS = rows()
HOME = "/home/ada"
BASE = {"OPENAI_API_KEY": "made-up", "HOME": HOME}
STATED = {
    name: default.strip("`").replace("~", HOME)
    for name, (default, _) in ROWS.items()
    if re.fullmatch(r"`[^`]+`|[0-9.]+", default)
}
"""Defaults that are values; the others are told in words."""
NEEDED = {"VAD_EAGERNESS": {"VAD_KIND": "semantic_vad"}}


def test_defaults_that_are_values_are_told_as_such() -> None:
    in_words = {name: told for name, (told, _) in ROWS.items() if told and name not in STATED}
    assert in_words == {
        "RETENTION_DAYS_<TENANT>": "that of `RETENTION_DAYS`",
        "PRICES_FILE": "the one that ships",
        "ROLLOUT_KEY": "one that anybody knows",
    }
    assert len(STATED) > 35


@pytest.mark.parametrize(("name", "default"), STATED.items(), ids=STATED)
def test_the_documented_default_is_the_one_in_force(name: str, default: str) -> None:
    """A default that is set explicitly changes nothing."""
    value = f"sqlite:///{default}" if name == "DATABASE_URL" else default
    base = BASE | NEEDED.get(name, {})
    unset = Settings.from_env(base, insecure_local=True)
    stated = Settings.from_env({**base, name: value}, insecure_local=True)
    assert without_variables(stated) == without_variables(unset)


def allowed_in_force(name: str) -> str:
    """What the fault of a senseless value expects, where that is a range or one of several."""
    variable = name.replace("<TENANT>", "ACME")
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(
            {**BASE, **NEEDED.get(name, {}), variable: "\N{SNOWMAN}", "PUBLIC_URL": "x"},
            insecure_local=True,
        )
    [fault] = [one for one in caught.value.faults if one.startswith(f"{variable} is ")] or [""]
    number = re.search(r"expected a (?:whole )?number from (\S+) to (\S+)$", fault)
    if number is not None:
        return " to ".join(number.groups())
    choice = re.search(r"expected one of (.+)$", fault)
    return choice.group(1) if choice is not None else ""


@pytest.mark.parametrize("name", sorted(variables_documented()))
def test_the_documented_range_is_the_one_in_force(name: str) -> None:
    _, told = ROWS.get(name, ("", ""))
    assert told == allowed_in_force(name)


def without_variables(settings: Settings) -> Settings:
    """Without the copy of the environment that triage files' secrets are looked up in."""
    return replace(settings, outward=replace(settings.outward, variables={}))
