"""Is B slower than A beyond noise? Results of one or several runs a side, figure by figure.

A figure is *slower* where B is higher by more than the noise that nobody cares about (``Noise``)
and the lower bound of the difference is above zero; *faster* likewise; *same* where both bounds lie
within the noise; else *undecided*: more turns or more runs are needed. How the bounds are found is
told in ``differences``.

Runs of the same bridge differ as a whole, by another minute or another neighbour on the machine.
With one run on a side nothing in the results tells by how much, so there the lower bound has to be
above a floor (``floor``), and *same* is what lies within it.

``alpha`` is the chance of any false "slower" or "more" in the whole comparison where nothing
differs: it is shared out evenly among all rows that can be judged (Bonferroni). Failed calls and
unanswered turns are always compared as well: a bridge that answers the easy turns only would look
fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from loadtest.harness.differences import (
    Difference,
    Parted,
    Tally,
    difference,
    difference_by_parts,
    least_count,
    p_more,
)
from loadtest.harness.doubts import doubts
from loadtest.harness.names import FIGURES
from loadtest.harness.parts import LEAST_PARTS, parts
from loadtest.harness.questions import (
    COUNTED,
    DEFAULT_STATISTICS,
    FRAMES_MEDIAN,
    FRAMES_TAIL,
    NOT_THE_BRIDGE,
    PER_FRAME,
    TURNS_MEDIAN,
    TURNS_TAIL,
    CompareError,
    Question,
    floor,
)
from loadtest.harness.result import Result

Overall: TypeAlias = Literal["slower", "not slower", "undecided"]
Verdict: TypeAlias = Literal["slower", "faster", "same", "undecided", "more", "no more"]
WORSE: tuple[Verdict, ...] = ("slower", "more")


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
    floor_ms: float = 0.0
    """What ``low_ms`` has to be above; more than 0 with one run on a side."""
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

    @property
    def verdict(self) -> Overall:
        """That no calls failed more is no verdict on latencies of which not one was decided."""
        if self.worse:
            return "slower"
        return "undecided" if len(self.undecided) == len(self.rows) else "not slower"

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "kind": "comparison",
            "verdict": self.verdict,
            "worse": self.worse,
            "undecided": self.undecided,
            **asdict(self),
        }


def compare(a: Sequence[Result], b: Sequence[Result], question: Question) -> Comparison:
    """Raises CompareError where a figure is missing, or nothing can be compared."""
    wanted = _wanted(a, b, question.wanted())
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
    """A figure with its runs. ``why`` it cannot be judged, which depends on no value in it.

    ``parted`` where the runs are compared by their parts, ``lone`` with one run on a side."""

    name: str
    statistic: str
    a: Sequence[Parted]
    b: Sequence[Parted]
    lone: bool
    parted: bool
    why: str | None

    @classmethod
    def of(cls, name: str, statistic: str, a: Sequence[Result], b: Sequence[Result]) -> _Asked:
        lone = min(len(a), len(b)) < 2
        parted = lone and name in PER_FRAME
        fewest = least_count(statistic)
        runs_a, runs_b = (
            [
                Parted(
                    result.figures[name].latency(),
                    parts(result.series, name, fewest) if parted else (),
                )
                for result in side
            ]
            for side in (a, b)
        )
        why = _too_little(statistic, [*runs_a, *runs_b], parted)
        return cls(name, statistic, runs_a, runs_b, lone, parted, why)

    def means_ms(self) -> tuple[float, float]:
        """Over the runs of A, and of B."""
        values = (
            [run.whole.statistic_ms(self.statistic) for run in side] for side in (self.a, self.b)
        )
        a_ms, b_ms = (sum(side) / len(side) for side in values)
        return a_ms, b_ms

    def difference(self, alpha: float, random: np.random.Generator) -> Difference:
        if self.parted:
            return difference_by_parts(self.a, self.b, self.statistic, alpha, random)
        whole_a, whole_b = ([run.whole for run in side] for side in (self.a, self.b))
        return difference(whole_a, whole_b, self.statistic, alpha, random)


def _row(asked: _Asked, question: Question, alpha: float) -> Row:
    figure = f"{asked.name}.{asked.statistic}"
    a_ms, b_ms = asked.means_ms()
    floor_ms = floor(asked.name, asked.statistic).around(a_ms) if asked.lone else 0.0
    noise_ms = max(question.noise.around(a_ms), floor_ms)
    if asked.why is not None:
        return Row(figure, "undecided", a_ms, b_ms, noise_ms, floor_ms=floor_ms, why=asked.why)
    # A generator for each figure: what else is compared does not change what is drawn.
    random = np.random.default_rng([question.seed, *figure.encode()])
    found = asked.difference(alpha, random)
    verdict = _verdict(found, noise_ms, floor_ms)
    bounds = (found.low_ms, found.high_ms)
    return Row(figure, verdict, found.a_ms, found.b_ms, noise_ms, *bounds, floor_ms)


def _too_little(statistic: str, runs: Sequence[Parted], parted: bool) -> str | None:
    """Why the figure cannot be judged; None where it can."""
    least, fewest = least_count(statistic), min(run.whole.count for run in runs)
    if fewest < least:
        return f"a run has {fewest} values, {least} are needed"
    cut = min(len(run.parts) for run in runs)
    if parted and cut < LEAST_PARTS:
        return f"{cut} of {LEAST_PARTS} parts of a run; longer, or 2 runs a side"
    return None


def _verdict(found: Difference, noise_ms: float, floor_ms: float) -> Verdict:
    if found.low_ms > floor_ms and found.ms > noise_ms:
        return "slower"
    if found.high_ms < -floor_ms and found.ms < -noise_ms:
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
    a: Sequence[Result], b: Sequence[Result], wanted: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Each once."""
    measured = {side: _measured(results) for side, results in (("A", a), ("B", b))}
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


def _measured(results: Sequence[Result]) -> set[str]:
    """In every one of them."""
    return set.intersection(*(set(result.figures) for result in results))


def _notes(
    a: Sequence[Result], b: Sequence[Result], compared: set[str], asked: bool
) -> Iterable[str]:
    if min(len(a), len(b)) < 2:
        yield (
            "one run a side: how much runs differ from each other is unknown, so a difference "
            f"counts only where it is surely above {TURNS_MEDIAN.ms:g} ms at the median and "
            f"{TURNS_TAIL.ms:g} ms elsewhere (uplink, downlink: {FRAMES_MEDIAN.ms:g} and "
            f"{FRAMES_TAIL.ms:g} ms, and {100 * FRAMES_TAIL.share:g}%); "
            "two or more runs a side, made in turns, tell more"
        )
    if not asked:
        everywhere = {name for result in (*a, *b) for name in result.figures}
        missing = sorted(everywhere - compared - set(NOT_THE_BRIDGE))
        if missing:
            yield f"not measured in every run, so not compared: {', '.join(missing)}"
    yield from doubts(a, b)
