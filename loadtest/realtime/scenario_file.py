"""Scenarios in TOML files. Unknown keys and wrong values are errors that name file and place.

::

    description = "..."
    caller_turns = ["what the caller says first", "then"]     # transcripts, turn by turn
    [slots]                                                  # for {name} in arguments
    name = "Rachel Kim"
    [faults]                                                 # keys of FaultPlan
    fail_responses = { 2 = "server_error" }
    [[step]]
    on = "turn"                  # or greeting, text, tool_output, timeout, out_of_band, otherwise
    turn = 1                     # narrows "turn"; contains: "text"; tool: "tool_output"; topic: ...
    do = [{ say = "ask_name" }]  # say, say_any, text, tool (+ arguments), fail, incomplete, drop

A trigger takes the first step that fits; when it happens again, the next one that fits, and the
last one from then on.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

from .faults import NO_FAULTS, Cut, FaultPlan
from .scenario import (
    Action,
    CallTool,
    Drop,
    Fail,
    Incomplete,
    On,
    Say,
    SayAny,
    Scenario,
    ScenarioError,
    Step,
    Text,
)

SCENARIOS = Path(__file__).parent / "scenarios"


def load_scenario(name: str) -> Scenario:
    """A shipped scenario by its name, or one of your own by the path of its TOML file."""
    path = Path(name) if name.endswith(".toml") else SCENARIOS / f"{name}.toml"
    if not path.is_file():
        raise ScenarioError(f"no scenario {name!r}; there are: {', '.join(scenario_names())}")
    return _load(path)


def scenario_names() -> list[str]:
    return sorted(path.stem for path in SCENARIOS.glob("*.toml"))


@cache
def _load(path: Path) -> Scenario:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    try:
        return parse_scenario(path.stem, table)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None


def parse_scenario(name: str, table: Mapping[str, Any]) -> Scenario:
    _only(table, {"description", "caller_turns", "slots", "faults", "step"}, "the scenario")
    steps = tuple(
        _step(entry, f"step {number}") for number, entry in enumerate(table.get("step", ()), 1)
    )
    if not steps:
        raise ScenarioError("step is missing, expected at least one [[step]]")
    return Scenario(
        name=name,
        steps=steps,
        description=_text(table.get("description", ""), "description"),
        caller_turns=_texts(table.get("caller_turns", []), "caller_turns"),
        slots={key: _text(value, f"slots.{key}") for key, value in table.get("slots", {}).items()},
        faults=_faults(table["faults"]) if "faults" in table else NO_FAULTS,
    )


def _faults(table: Mapping[str, Any]) -> FaultPlan:
    """Numbers of responses are keys, which TOML has as text only."""
    _only(table, {field.name for field in dataclasses.fields(FaultPlan)}, "faults")
    values: dict[str, Any] = {key: _fault(key, value) for key, value in table.items()}
    for cut in values.get("drop_responses", {}).values():
        _one_of(cut, get_args(Cut), "faults.drop_responses")
    return FaultPlan(**values)


def _fault(key: str, value: object) -> object:
    if key.endswith("_responses"):
        table = value if isinstance(value, dict) else {str(value): None}
        wrong = [number for number in table if not number.isdecimal()]
        if wrong:
            raise ScenarioError(
                f"faults.{key} has key {wrong[0]!r}, expected the number of a response"
            )
        return {int(number): entry for number, entry in table.items()}
    if key == "failed_transcripts":
        turns = value if isinstance(value, list) else [value]
        if any(type(turn) is not int for turn in turns):
            raise ScenarioError(f"faults.{key} is {value!r}, expected numbers of caller turns")
        return frozenset(turns)
    wanted = (int, "a number of milliseconds") if key.endswith("_ms") else (bool, "true or false")
    if type(value) is not wanted[0]:
        raise ScenarioError(f"faults.{key} is {value!r}, expected {wanted[1]}")
    return value


def _step(entry: Mapping[str, Any], where: str) -> Step:
    _only(entry, {"on", "do", "turn", "contains", "tool", "topic"}, where)
    on: Any = entry.get("on")
    if on not in get_args(On):
        raise ScenarioError(f"{where}: on is {on!r}, expected one of {', '.join(get_args(On))}")
    turn = entry.get("turn")
    if turn is not None and (type(turn) is not int or turn < 1):
        raise ScenarioError(f"{where}: turn is {turn!r}, expected a number from 1 on")
    actions = entry.get("do", [])
    if not isinstance(actions, list):
        raise ScenarioError(f"{where}: do is {type(actions).__name__}, expected a list of tables")
    return Step(
        on=on,
        do=tuple(_action(action, f"{where}, action {n}") for n, action in enumerate(actions, 1)),
        turn=turn,
        contains=_optional_text(entry, "contains", where),
        tool=_optional_text(entry, "tool", where),
        topic=_optional_text(entry, "topic", where),
    )


_ACTION_KEYS: Mapping[str, set[str]] = {
    "say": {"stall_at_ms", "stall_for_ms", "drop", "drop_at_ms"},
    "say_any": set(),
    "text": set(),
    "tool": {"arguments"},
    "fail": set(),
    "incomplete": set(),
    "drop": set(),
}


def _action(entry: Mapping[str, Any], where: str) -> Action:
    kind = next((key for key in _ACTION_KEYS if key in entry), None)
    if kind is None:
        raise ScenarioError(f"{where}: {dict(entry)!r} has none of {', '.join(_ACTION_KEYS)}")
    _only(entry, {kind} | _ACTION_KEYS[kind], where)
    value = entry[kind]
    match kind:
        case "say":
            return _say(entry, where)
        case "say_any":
            return SayAny(_texts(value, f"{where}: say_any"))
        case "text":
            return Text(_text(value, f"{where}: text"))
        case "tool":
            return CallTool(_text(value, f"{where}: tool"), entry.get("arguments", {}))
        case "fail":
            return Fail(_text(value, f"{where}: fail"))
        case "incomplete":
            _one_of(value, ("max_output_tokens", "content_filter"), f"{where}: incomplete")
            return Incomplete(value)
        case _:
            _one_of(value, get_args(Cut), f"{where}: drop")
            return Drop(value)


def _say(entry: Mapping[str, Any], where: str) -> Say:
    lines = entry["say"]
    cut = entry.get("drop")
    if cut is not None:
        _one_of(cut, get_args(Cut), f"{where}: drop")
    for key in ("stall_at_ms", "stall_for_ms", "drop_at_ms"):
        value = entry.get(key, 0)
        if type(value) is not int or value < 0:
            raise ScenarioError(f"{where}: {key} is {value!r}, expected milliseconds")
    return Say(
        lines=(lines,) if isinstance(lines, str) else _texts(lines, f"{where}: say"),
        stall_at_ms=entry.get("stall_at_ms"),
        stall_for_ms=entry.get("stall_for_ms"),
        drop=cut,
        drop_at_ms=entry.get("drop_at_ms", 0),
    )


def _only(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise ScenarioError(
            f"{where} has unknown keys {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )


def _one_of(value: object, allowed: tuple[str, ...], where: str) -> None:
    if value not in allowed:
        raise ScenarioError(f"{where} is {value!r}, expected one of {', '.join(allowed)}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ScenarioError(f"{where} is {value!r}, expected text")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        if value == [] and where == "caller_turns":
            return ()
        raise ScenarioError(f"{where} is {value!r}, expected a list of texts")
    return tuple(_text(entry, where) for entry in value)


def _optional_text(entry: Mapping[str, Any], key: str, where: str) -> str | None:
    return None if key not in entry else _text(entry[key], f"{where}: {key}")
