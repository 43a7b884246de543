"""Latency budgets: ``first_audio_out.p95=1400ms``, ``lost_frames=0``, ``calls_failed.share=1%``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from loadtest.harness.figures import STATISTICS
from loadtest.harness.names import COUNTED_IN, COUNTS, FIGURES, NOT_IN_CUT_CALLS, SHARE_OF
from loadtest.harness.result import Judged, Result

_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
SHARE = "share"


class GateError(ValueError):
    """A gate that cannot be understood; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Gate:
    """At most ``limit``: milliseconds, a count, or per cent."""

    text: str
    name: str
    statistic: str | None
    """Of a latency; ``share`` or None for a count."""
    limit: float

    @property
    def figure(self) -> str:
        return self.name if self.statistic is None else f"{self.name}.{self.statistic}"

    @property
    def unit(self) -> str:
        if self.statistic is None:
            return ""
        return "%" if self.statistic == SHARE else "ms"


def parse_all(texts: Iterable[str]) -> tuple[Gate, ...]:
    return tuple(parse(text) for text in texts)


def parse(text: str) -> Gate:
    """Read one gate; raises GateError with what was expected."""
    figure, equals, limit = (part.strip() for part in text.partition("="))
    name, _, statistic = figure.partition(".")
    if not equals or not name or not limit:
        raise GateError(f"gate {text!r}: expected NAME.p95=800ms, NAME=0 or NAME.share=1%")
    if name in FIGURES:
        return Gate(text, name, _statistic(text, name, statistic), _milliseconds(text, limit))
    if name not in COUNTS:
        raise GateError(f"gate {text!r}: there is no figure {name!r}. {_what_there_is()}")
    if not statistic:
        return Gate(text, name, None, _count(text, limit))
    if statistic != SHARE or name not in SHARE_OF:
        allowed = f"{name} or {name}.{SHARE}" if name in SHARE_OF else name
        raise GateError(f"gate {text!r}: {name} is a count, expected {allowed}")
    return Gate(text, name, SHARE, _per_cent(text, limit))


def never_measured(gates: Iterable[Gate], measured: Collection[str]) -> str | None:
    """What to say before a run that cannot measure what a gate is about; None where all can."""
    missing = sorted({gate.name for gate in gates} - set(measured))
    if not missing:
        return None
    can = ", ".join(sorted(measured))
    return f"this run will not measure {', '.join(missing)}; it can measure {can}"


def judge_all(gates: Iterable[Gate], result: Result) -> tuple[Judged, ...]:
    return tuple(judge(gate, result) for gate in gates)


def judge(gate: Gate, result: Result) -> Judged:
    """How the run fared; what was not measured has not passed."""
    value, why = _value(gate, result)
    passed = value is not None and value <= gate.limit
    return Judged(
        gate=gate.text,
        figure=gate.figure,
        value=None if value is None else round(value, 3),
        limit=gate.limit,
        unit=gate.unit,
        passed=passed,
        why=why,
    )


def _value(gate: Gate, result: Result) -> tuple[float | None, str]:
    if gate.name in FIGURES:
        figure = result.figures.get(gate.name)
        if figure is None:
            there = ", ".join(sorted(result.figures)) or "nothing"
            return None, f"{gate.name} was not measured; measured were {there}"
        return float(getattr(figure, str(gate.statistic))), ""
    count = result.counts.get(gate.name)
    if count is None:
        there = ", ".join(sorted(result.counts)) or "nothing"
        return None, f"{gate.name} was not counted; counted were {there}"
    if not count and (why := _nothing_to_count(gate.name, result.counts)):
        return None, why
    if gate.statistic is None:
        return float(count), ""
    of = result.counts.get(SHARE_OF[gate.name], 0)
    if not of:
        return None, f"there were no {SHARE_OF[gate.name]} to take a share of"
    return 100 * count / of, ""


def _nothing_to_count(name: str, counts: Mapping[str, int]) -> str:
    """Why a zero says nothing: there was nothing in which it could have been counted."""
    base = COUNTED_IN.get(name)
    if base is None:
        return ""
    if not counts.get(base, 0):
        return f"{name} was not measured: there were no {base}"
    if name in NOT_IN_CUT_CALLS and counts.get("calls_cut", 0) >= counts["calls"]:
        return f"{name} was not measured: all calls were cut short when the run was over"
    return ""


def _statistic(text: str, name: str, statistic: str) -> str:
    if statistic not in STATISTICS:
        raise GateError(
            f"gate {text!r}: {name} is a latency, expected one of "
            + ", ".join(f"{name}.{known}" for known in STATISTICS)
        )
    return statistic


def _milliseconds(text: str, limit: str) -> float:
    match = _TIME.fullmatch(limit)
    if match is None:
        raise GateError(f"gate {text!r}: limit is {limit!r}, expected a time such as 800ms or 1.4s")
    return float(match[1]) * (1000 if match[2] == "s" else 1)


def _count(text: str, limit: str) -> float:
    if _NUMBER.fullmatch(limit) is None:
        raise GateError(f"gate {text!r}: limit is {limit!r}, expected a number such as 0")
    return float(limit)


def _per_cent(text: str, limit: str) -> float:
    match = _SHARE.fullmatch(limit)
    if match is None:
        raise GateError(f"gate {text!r}: limit is {limit!r}, expected per cent such as 1%")
    if float(match[1]) >= 100:
        raise GateError(f"gate {text!r}: limit is {limit!r}, expected less than 100%")
    return float(match[1])


def _what_there_is() -> str:
    latencies = ", ".join(FIGURES)
    return f"Latencies (.p95=800ms): {latencies}. Counts (=0, some .share=1%): {', '.join(COUNTS)}"
