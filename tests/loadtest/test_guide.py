"""The guide to load tests is true: every command is taken, every name is explained."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from loadtest import scenarios
from loadtest.harness.cli import loadtest_group
from loadtest.harness.degrade import parse_degradation
from loadtest.harness.gates import parse_all
from loadtest.harness.names import COUNTS, FIGURES
from loadtest.scenarios import parse_conditions
from loadtest.scenarios.reading import ScenarioModel

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


# --- the tables of scenario files ---------------------------------------------------------------

SCHEMA = ScenarioModel.model_json_schema()
BOUNDS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
NUMBER = "+14155550001"


def rows(head: str) -> list[list[str]]:
    """The cells of the table that begins with this line."""
    _, _, rest = TEXT.partition(f"{head}\n")
    table = re.match(r"(?:\|.*\n)*", rest)
    assert table is not None
    return [re.split(r" ?\| ?", line)[1:-1] for line in table[0].splitlines()[1:]]


def definition(schema: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    return found


def told(name: str, schema: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """A key as the guide writes it: bold where it is needed, its default, what is allowed."""
    forms = [schema, *schema.get("anyOf", ()), schema.get("items", {})]
    facts = {key: value for form in reversed(forms) for key, value in form.items()}
    allowed = [f"{sign} {facts[bound]:g}" for bound, sign in BOUNDS if bound in facts]
    allowed += [f"`{one}`" for one in facts.get("enum", ())]
    allowed += [f"`{facts['pattern']}`" for _ in range("pattern" in facts)]
    default = schema.get("default")
    words = f"**`{name}`**" if name in model["required"] else f"`{name}`"
    if default not in (None, "", []):
        words += f" = {default if isinstance(default, str) else format(default, 'g')}"
    return words + (f" ({', '.join(allowed)})" if allowed else "")


def keys(model: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every key of a scenario file, those of its tables too."""
    needed = {"required": [prefix + name for name in model.get("required", ())]}
    for name, schema in model["properties"].items():
        if "$ref" in schema:
            yield from keys(definition(schema), f"{prefix}{name}.")
        elif "$ref" in schema.get("additionalProperties", {}):
            inner = definition(schema["additionalProperties"])
            yield from keys(inner, f'{prefix}{name}."{NUMBER}".')
        else:
            items = {} if name == "steps" else schema
            yield told(prefix + name, items, needed)


def test_the_steps_of_scenario_files_are_explained_with_their_keys_and_limits() -> None:
    kinds = SCHEMA["properties"]["steps"]["items"]["discriminator"]["mapping"]
    models = {kind: definition({"$ref": ref}) for kind, ref in kinds.items()}
    expected = {
        f"`{kind}`": ", ".join(
            told(name, schema, model)
            for name, schema in model["properties"].items()
            if name != "do"
        )
        for kind, model in models.items()
    }
    table = rows("| `do` | keys | what the caller does |")
    assert {kind: keys for kind, keys, _ in table} == expected
    assert all(meaning for *_, meaning in table)


def test_the_keys_of_scenario_files_are_explained_with_their_limits() -> None:
    table = rows("| key | meaning |")
    assert sorted(key for key, _ in table) == sorted(keys(SCHEMA))
    assert all(meaning for _, meaning in table)
