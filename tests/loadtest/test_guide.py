"""The guide to load tests is true: every command is taken, every name is explained."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from loadtest import scenarios
from loadtest.harness.cli import loadtest_group
from loadtest.harness.degrade import parse_degradation
from loadtest.harness.gates import parse_all
from loadtest.harness.names import COUNTS, FIGURES
from loadtest.scenarios import parse_conditions

GUIDE = Path(__file__).parents[2] / "docs" / "loadtest.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


COMMANDS = [
    block.replace("\\\n", " ").strip()
    for block in blocks("sh")
    if block.startswith("triage-bridge loadtest")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_program_takes_every_command_of_the_guide(line: str) -> None:
    words = shlex.split(line)[2:]
    group = loadtest_group()
    command = group.get_command(click.Context(group), words[0])
    assert command is not None, words[0]
    params = command.make_context(words[0], words[1:], obj=None).params
    if "gates" in params:
        parse_all(params["gates"])
    if "degrade" in params:
        parse_degradation(params["degrade"])
    if "line" in params:
        parse_conditions(params["line"])


@pytest.mark.parametrize("name", [*FIGURES, *COUNTS])
def test_every_name_is_explained(name: str) -> None:
    assert re.search(rf"^\|[^|]*`{name}`", TEXT, re.MULTILINE)


def test_every_subcommand_is_shown() -> None:
    group = loadtest_group()
    names = group.list_commands(click.Context(group))
    assert [name for name in names if f"loadtest {name}" not in TEXT] == []


@pytest.mark.parametrize("number", range(len(blocks("toml"))))
def test_every_scenario_of_the_guide_can_be_read(number: int, tmp_path: Path) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text(blocks("toml")[number], encoding="utf-8")
    assert scenarios.load(file).script.steps


def test_every_link_within_the_guide_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= headings
