"""docs/triage-file.md tells every key of a triage file, its value and its default, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dispatch.triagefile import json_schema

DOCUMENT = Path(__file__).parents[2] / "docs" / "triage-file.md"
SCHEMA = json_schema()

SECTIONS = {
    "ROOT": "The file",
    "Business": "`[business]`",
    "Entry": "`[entry]`",
    "Model": "`[model]`",
    "ServerVad": '`[model.vad]` with `kind = "server_vad"`',
    "SemanticVad": '`[model.vad]` with `kind = "semantic_vad"`',
    "Transcription": "`[model.transcription]`",
    "Lines": "`[lines]`",
    "Limits": "`[limits]`",
    "DefaultDestination": "`[default]`",
    "PersonDestination": "`[human]`",
    "Intent": "`[[intent]]`",
    "Slot": "`[[intent.slots]]`",
    "StudioReturnRoute": '`kind = "studio_return"`',
    "StudioTriggerRoute": '`kind = "studio_trigger"`',
    "StudioExecutionRoute": '`kind = "studio_execution"`',
    "FlexRoute": '`kind = "flex"`',
    "CallbackTaskRoute": '`kind = "callback_task"`',
    "DialRoute": '`kind = "dial"`',
    "VoicemailRoute": '`kind = "voicemail"`',
    "ResolveRoute": '`kind = "resolve"`',
    "PageRoute": '`kind = "page"`',
    "LookupTool": "`[[tool]]`",
    "Rollout": "`[rollout]`",
    "Hours": "`[rollout.hours]`",
    "Guard": "`[guard]`",
    "Admission": "`[admission]`",
}
"""Heading of the section for each table of the schema."""


PATTERNS = {
    r"^[a-z][a-z0-9_-]*$": "name",
    r"^[A-Za-z][A-Za-z0-9_-]*$": "up to 40 letters, digits, `_`, `-`, a letter first",
    r"^[a-z][a-z0-9_]*$": "up to 64 of `a-z`, `0-9`, `_`, a letter first",
    r"^[A-Z][A-Z0-9_]*$": "name of a variable",
    r"^[A-Za-z0-9-]+$": "name of a header",
    r"^(\*|\+[1-9][0-9]{6,14})$": "E.164, or `*` alone",
    r"^\+[1-9][0-9]{6,14}$": "E.164",
    r"^[A-Z]{2}$": "two letters",
    r"^[a-z]{2}$": "two letters",
    r"^[0-9*#]$": "a key of the telephone",
    r"^[0-9]?$": "a digit, or empty",
    r"^sips?:[^\s<>@]+@[^\s<>@]+$": "SIP address",
    r"^[^\s<>@,;]+@[^\s<>@,;]+\.[^\s<>@,;]+$": "e-mail address",
    r"^https://[^\s<>\"]+$": "https address",
    r"^https?://[^\s<>\"]+$": "address",
    r"^([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])$": "`HH:MM-HH:MM`",
} | {rf"^{kind}[0-9a-fA-F]{{32}}$": f"SID `{kind}...`" for kind in ("FW", "WW", "WS")}


def table(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return schema if name == "ROOT" else schema["$defs"][name]


def describe(schema: Mapping[str, Any], name: str) -> Iterator[tuple[str, str, str]]:
    """Key, value and default of each row that the section of a table has."""
    whole = table(schema, name)
    needed = whole.get("required", [])
    # [human] and [[intent]] have the keys of [default] too.
    shared = table(schema, "DefaultDestination")["properties"]
    inherited = shared if name in ("PersonDestination", "Intent") else {}
    for key, facts in whole["properties"].items():
        if key not in inherited:
            yield key, value_of(facts), "" if key in needed else default_of(facts)


def value_of(facts: Mapping[str, Any]) -> str:
    options = [one for one in facts.get("anyOf", ()) if one != {"type": "null"}]
    if len(options) == 2 and options[1]["type"] == "object":
        return "spoken text"
    if options:
        return value_of(options[0])
    if "const" in facts or "enum" in facts:
        return ", ".join(f"`{one}`" for one in facts.get("enum", [facts.get("const")]))
    if "pattern" in facts:
        return PATTERNS[facts["pattern"]]
    match facts.get("type"):
        case "boolean":
            return "true or false"
        case "string":
            return "date" if facts.get("format") == "date" else f"text{characters(facts)}"
        case "integer" | "number":
            return f"{'whole ' if facts['type'] == 'integer' else ''}number{bounds(facts)}"
        case "array":
            several = value_of(facts["items"])
            return f"list: {several}{how_many(facts)}"
    return "table"


def characters(facts: Mapping[str, Any]) -> str:
    least, most = facts.get("minLength", 0), facts.get("maxLength")
    if most is None:
        return ", not empty" if least else ""
    return f", {least} to {most} characters" if least else f", up to {most} characters"


def bounds(facts: Mapping[str, Any]) -> str:
    if "exclusiveMinimum" in facts:
        return f" above {facts['exclusiveMinimum']:g}, up to {facts['maximum']:g}"
    if "minimum" not in facts:
        return ""
    return f", {facts['minimum']} to {facts['maximum']}"


def how_many(facts: Mapping[str, Any]) -> str:
    least, most = facts.get("minItems"), facts.get("maxItems")
    if most is not None:
        return f"; {least} to {most} of them"
    return "; at least one" if least else ""


def default_of(facts: Mapping[str, Any]) -> str:
    if "$ref" in facts or "discriminator" in facts:
        return "all of its defaults"
    match facts.get("default"):
        case None:
            return "none"
        case bool() as value:
            return str(value).lower()
        case str() as value:
            return f"`{value}`" if value else "empty"
        case int() | float() as value:
            return f"{value:g}" if value < 10**6 else str(value)
        case list() as values:
            return ", ".join(f"`{one}`" for one in values) or "empty"
    return "none"


def sections() -> dict[str, str]:
    parts = re.split(r"^##+ (.*)\n", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_table_of_the_schema_has_its_section() -> None:
    assert SECTIONS.keys() == {"ROOT", *SCHEMA["$defs"]}
    assert [one for one in SECTIONS.values() if one not in sections()] == []


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_is_told_with_its_value_and_default_and_no_other(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|", sections()[SECTIONS[name]], re.MULTILINE)
    told = [(key, value.strip(), default.strip()) for key, value, default in rows]
    assert told == list(describe(SCHEMA, name))
