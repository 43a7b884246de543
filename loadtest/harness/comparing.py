"""Is B slower than A beyond noise? Results of one or several runs a side, figure by figure.

A figure is *slower* where B is higher by more than the noise that nobody cares about (``Noise``)
and the lower bound of the difference is above zero; *faster* likewise; *same* where both bounds lie
within the noise; else *undecided*: more turns or more runs are needed. How the bounds are found is
told in ``differences``.

``alpha`` is the chance of any false "slower" or "more" in the whole comparison where nothing
differs: it is shared out evenly among all rows that can be judged (Bonferroni). Failed calls and
unanswered turns are always compared as well: a bridge that answers the easy turns only would look
fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from loadtest.harness.differences import (
    STATISTICS,
    Difference,
    Tally,
    difference,
    least_count,
    p_more,
)
from loadtest.harness.figures import Latency
from loadtest.harness.names import COUNTS, FIGURES
from loadtest.harness.report.verdict import flat
from loadtest.harness.result import Result

DEFAULT_STATISTICS = ("p50", "p95")
NOT_THE_BRIDGE = ("generator_late",)
"""Figures that say something of the load generator: compared only where they are asked for."""
PER_FRAME = ("uplink", "downlink", "generator_late")
"""Neighbouring frames wait together: only runs are independent of each other, so two a side."""
COUNTED = {"calls_failed": "calls", "streams_refused": "calls", "unanswered_turns": "turns"}
"""Counts that are compared, and of what they are a share."""
_OF_NO_MATTER = ("seed", "out", "html", "json")
"""Names in a plan that may differ between runs of the same load."""
_NOISE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%|ms)")

Verdict: TypeAlias = Literal["slower", "faster", "same", "undecided", "more", "no more"]
WORSE: tuple[Verdict, ...] = ("slower", "more")


class CompareError(ValueError):
    """A comparison that cannot be made; the message says why, and what could be."""


@dataclass(frozen=True, slots=True)
class Noise:
    """A difference up to the larger of both is of no practical meaning."""

    share: float = 0.05
    ms: float = 2.0

    @classmethod
    def parse(cls, text: str) -> Noise:
        """``5%``, ``20ms`` or ``5%,20ms``; what is not named is 0. Raises CompareError."""
        found = {"%": 0.0, "ms": 0.0}
        for part in text.split(","):
            match = _NOISE.fullmatch(part.strip())
            if match is None:
                raise CompareError(f"noise {text!r}: expected such as 5%, 20ms or 5%,20ms")
            found[match[2]] = float(match[1])
        return cls(found["%"] / 100, found["ms"])

    def around(self, value_ms: float) -> float:
        return max(self.ms, self.share * value_ms)


@dataclass(frozen=True, slots=True)
class Row:
    """A latency. ``low_ms`` and ``high_ms`` bound B less A; None where there are too few values."""

    figure: str
    verdict: Verdict
    a_ms: float
    b_ms: float
    noise_ms: float
    low_ms: float | None = None
    high_ms: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class CountRow:
    name: str
    verdict: Verdict
    a: Tally
    b: Tally
    p: float
    """How likely equal rates give this, or worse."""


@dataclass(frozen=True, slots=True)
class Comparison:
    rows: tuple[Row, ...]
    counts: tuple[CountRow, ...]
    alpha: float
    seed: int
    notes: tuple[str, ...] = field(default=())

    @property
    def worse(self) -> tuple[str, ...]:
        """What B is slower in, or has more of."""
        slower = tuple(row.figure for row in self.rows if row.verdict in WORSE)
        return slower + tuple(row.name for row in self.counts if row.verdict in WORSE)

    @property
    def undecided(self) -> tuple[str, ...]:
        return tuple(row.figure for row in self.rows if row.verdict == "undecided")

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "kind": "comparison",
            "verdict": "slower" if self.worse else "not slower",
            "worse": self.worse,
            "undecided": self.undecided,
            **asdict(self),
        }


@dataclass(frozen=True, slots=True)
class Question:
    """``figures`` such as ``first_audio_out.p95`` or ``barge_in``; none: all that both measured."""

    figures: tuple[str, ...] = ()
    noise: Noise = Noise()
    alpha: float = 0.05
    seed: int = 1


def compare(a: Sequence[Result], b: Sequence[Result], question: Question) -> Comparison:
    """Raises CompareError where a figure is missing or unknown, or nothing can be compared."""
    wanted = _wanted(a, b, question.figures)
    counted = [name for name in COUNTED if _both_counted(name, [*a, *b])]
    asked = [_Asked.of(name, statistic, a, b) for name, statistic in wanted]
    tests = sum(one.why is None for one in asked) + len(counted)
    alpha = question.alpha / max(tests, 1)
    rows = tuple(_row(one, question, alpha) for one in asked)
    counts = tuple(_count_row(name, a, b, alpha) for name in counted)
    notes = tuple(_notes(a, b, {name for name, _ in wanted}, bool(question.figures)))
    return Comparison(rows, counts, question.alpha, question.seed, notes)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A figure with its runs. ``why`` it cannot be judged, which depends on no value in it."""

    name: str
    statistic: str
    a: Sequence[Latency]
    b: Sequence[Latency]
    why: str | None

    @classmethod
    def of(cls, name: str, statistic: str, a: Sequence[Result], b: Sequence[Result]) -> _Asked:
        runs_a, runs_b = ([result.figures[name].latency() for result in side] for side in (a, b))
        return cls(name, statistic, runs_a, runs_b, _too_little(name, statistic, runs_a, runs_b))


def _row(asked: _Asked, question: Question, alpha: float) -> Row:
    figure = f"{asked.name}.{asked.statistic}"
    if asked.why is not None:
        a_ms, b_ms = (
            sum(one.statistic_ms(asked.statistic) for one in side) / len(side)
            for side in (asked.a, asked.b)
        )
        return Row(figure, "undecided", a_ms, b_ms, question.noise.around(a_ms), why=asked.why)
    # A generator for each figure: what else is compared does not change what is drawn.
    random = np.random.default_rng([question.seed, *figure.encode()])
    found = difference(asked.a, asked.b, asked.statistic, alpha, random)
    noise_ms = question.noise.around(found.a_ms)
    verdict = _verdict(found, noise_ms)
    return Row(figure, verdict, found.a_ms, found.b_ms, noise_ms, found.low_ms, found.high_ms)


def _too_little(
    name: str, statistic: str, a: Sequence[Latency], b: Sequence[Latency]
) -> str | None:
    """Why the figure cannot be judged; None where it can."""
    if name in PER_FRAME and min(len(a), len(b)) < 2:
        return "needs 2 runs a side"
    least, fewest = least_count(statistic), min(one.count for one in (*a, *b))
    return f"a run has {fewest} values, {least} are needed" if fewest < least else None


def _verdict(found: Difference, noise_ms: float) -> Verdict:
    if found.low_ms > 0 and found.ms > noise_ms:
        return "slower"
    if found.high_ms < 0 and found.ms < -noise_ms:
        return "faster"
    if found.low_ms > -noise_ms and found.high_ms < noise_ms:
        return "same"
    return "undecided"


def _count_row(name: str, a: Sequence[Result], b: Sequence[Result], alpha: float) -> CountRow:
    tally_a, tally_b = (_tally(name, side) for side in (a, b))
    p = p_more(tally_a, tally_b)
    return CountRow(name, "more" if p < alpha else "no more", tally_a, tally_b, p)


def _tally(name: str, side: Iterable[Result]) -> Tally:
    events, of = (sum(result.counts[key] for result in side) for key in (name, COUNTED[name]))
    return Tally(events, of)


def _both_counted(name: str, results: Iterable[Result]) -> bool:
    return all(name in one.counts and one.counts.get(COUNTED[name], 0) > 0 for one in results)


def _wanted(
    a: Sequence[Result], b: Sequence[Result], asked: Iterable[str]
) -> list[tuple[str, str]]:
    """Names and statistics, each once."""
    measured = {side: _measured(results) for side, results in (("A", a), ("B", b))}
    wanted = [pair for text in asked for pair in _parsed(text)]
    for name, _ in wanted:
        for side, names in measured.items():
            if name not in names:
                there = ", ".join(sorted(names)) or "nothing"
                raise CompareError(f"{name} was not measured in every run of {side}; was: {there}")
    if not wanted:
        common = (one for one in FIGURES if one in measured["A"] & measured["B"])
        chosen = [name for name in common if name not in NOT_THE_BRIDGE]
        wanted = [(name, statistic) for name in chosen for statistic in DEFAULT_STATISTICS]
    if not wanted:
        raise CompareError(
            "no latency was measured on both sides. "
            + "; ".join(
                f"{side}: {', '.join(sorted(there)) or 'nothing'}"
                for side, there in measured.items()
            )
        )
    return list(dict.fromkeys(wanted))


def _parsed(text: str) -> list[tuple[str, str]]:
    name, _, statistic = text.partition(".")
    if name in COUNTS:
        always = f"; {', '.join(COUNTED)} are always compared" if name in COUNTED else ""
        raise CompareError(f"{name} is a count: hold it to a gate such as {name}=0{always}")
    if name not in FIGURES:
        raise CompareError(f"there is no figure {name!r}, expected one of {', '.join(FIGURES)}")
    if not statistic:
        return [(name, one) for one in DEFAULT_STATISTICS]
    if statistic not in STATISTICS:
        raise CompareError(
            f"figure {text!r}: {statistic!r} cannot be compared, "
            f"expected one of {', '.join(STATISTICS)}"
        )
    return [(name, statistic)]


def _measured(results: Sequence[Result]) -> set[str]:
    """In every one of them."""
    return set.intersection(*(set(result.figures) for result in results))


def _notes(
    a: Sequence[Result], b: Sequence[Result], compared: set[str], asked: bool
) -> Iterable[str]:
    if len(a) + len(b) == 2:
        yield (
            "one run a side: how much runs differ from each other is unknown; "
            "give several files a side, run in turns"
        )
    for side, results in (("A", a), ("B", b)):
        yield from _oddities(side, results)
    if not asked:
        everywhere = {name for result in (*a, *b) for name in result.figures}
        missing = sorted(everywhere - compared - set(NOT_THE_BRIDGE))
        if missing:
            yield f"not measured in every run, so not compared: {', '.join(missing)}"
    yield from _differing("plan", [result.plan for result in (*a, *b)])
    yield from _differing("machine", [_lasting(result.machine) for result in (*a, *b)])


def _oddities(side: str, results: Sequence[Result]) -> Iterable[str]:
    for number, result in enumerate(results, start=1):
        if result.partial:
            yield f"{side}{number} is partial: it was interrupted"
        if not result.valid:
            yield f"{side}{number} is not valid: {'; '.join(result.invalid_because)}"


def _lasting(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What a machine is, without what was measured on it."""
    return {name: value for name, value in machine.items() if isinstance(value, str | int)}


def _differing(what: str, tables: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    texts = [flat(dict(table)) for table in tables]
    for name in dict.fromkeys(name for text in texts for name in text):
        values = list(dict.fromkeys(text.get(name, "unset") for text in texts))
        if len(values) > 1 and name not in _OF_NO_MATTER:
            yield f"the {what}s differ: {name} is {' / '.join(values)}"
