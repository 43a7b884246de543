"""What a run comes to, in a line: for the first line of every report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from loadtest.harness.names import FIGURES
from loadtest.harness.result import Figure, Judged, Result

State = Literal["passed", "failed", "invalid", "measured"]


@dataclass(frozen=True, slots=True)
class Verdict:
    state: State
    partial: bool
    headline: str
    because: tuple[str, ...]
    """Why it is not valid, then each failed gate."""


def verdict_of(result: Result) -> Verdict:
    """A run that is not valid neither passed nor failed, whatever its gates say."""
    failed = [gate for gate in result.gates if not gate.passed]
    state = _state(result, failed)
    headline = _headline(state, len(failed), len(result.gates))
    if not result.counts:
        headline = "No call was placed"
    if result.partial:
        headline = f"Partial run. {headline}"
    because = (*result.invalid_because, *map(gate_line, failed))
    return Verdict(state, result.partial, headline, because)


def gate_line(gate: Judged) -> str:
    """``first_audio_out.p95 is 1,510 ms, at most 1,400 ms``."""
    if gate.value is None:
        return f"{gate.figure}: {gate.why or 'was not measured'}"
    return f"{gate.figure} is {amount(gate.value, gate.unit)}, at most {limit_of(gate)}"


def limit_of(gate: Judged) -> str:
    return amount(gate.limit, gate.unit)


def amount(value: float, unit: str) -> str:
    """A number with its unit; milliseconds as ``milliseconds`` shows them."""
    if unit == "ms":
        return f"{milliseconds(value)} ms"
    number = f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{number} {unit}" if unit else number


def milliseconds(value_ms: float) -> str:
    """Three digits or more: 0.254, 12.3, 148, 1,203."""
    if value_ms == 0:
        return "0"
    size = abs(value_ms)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value_ms:,.{decimals}f}"


def target_of(result: Result) -> str:
    """Against what the run was made, as the plan says."""
    for name in ("target", "voice"):
        if result.plan.get(name):
            return str(result.plan[name])
    return "our own bridge" if "own_bridge" in result.plan else "an unnamed target"


def ordered_figures(result: Result) -> dict[str, Figure]:
    """As ``FIGURES`` has them, what only others know after."""
    names = [*(name for name in FIGURES if name in result.figures), *result.figures]
    return {name: result.figures[name] for name in names}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested tables of plan or machine as ``outer.inner`` names and texts; unset ones left out."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        elif value not in (None, [], ""):
            found[f"{prefix}{name}"] = _text(value)
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_text(one) for one in value)
    return str(value)


def _state(result: Result, failed: list[Judged]) -> State:
    if not result.valid:
        return "invalid"
    if not result.gates:
        return "measured"
    return "failed" if failed else "passed"


def _headline(state: State, failed: int, gates: int) -> str:
    match state:
        case "invalid":
            return "Invalid: these figures say nothing about the target"
        case "measured":
            return "Measured; no gates were set"
        case "failed":
            return f"Failed: {failed} of {_gates(gates)}"
        case "passed":
            return "Passed: the gate" if gates == 1 else f"Passed: all {gates} gates"


def _gates(count: int) -> str:
    return "1 gate" if count == 1 else f"{count} gates"
