"""Collects what a run measures: latencies, counts, outcomes, errors, second by second."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from loadtest.harness.figures import Buckets, Latency
from loadtest.harness.following import Following
from loadtest.harness.result import MOST_TURNS, Figure, Second, SecondFigure, Waterfall

MOST_TEXTS = 200
"""Different errors kept by name; more are counted together."""
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Now:
    """One moment of a run, for whoever watches, with what was measured so far.

    ``figures``: p50, p95 and p99 in ms. ``counts``: by the names of ``COUNTS``, zeros left out.
    """

    at_s: float
    calls_up: int
    ended: int
    turns: int
    errors: int
    figures: Mapping[str, tuple[float, float, float]]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Step:
    """A second as it was kept: histograms as the few buckets that grew."""

    at_s: float
    calls_up: int
    turns: int
    errors: int
    ended: int
    grown: Mapping[str, Buckets]


class Meter:
    """One run's figures. Everything is told in the event loop's thread, nothing waits."""

    def __init__(self, rng: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.notes: dict[str, None] = {}
        self.following = Following()
        self._rng = rng
        self._figures: dict[str, Latency] = {}
        self._waiting: dict[str, list[int]] = {}
        self._counts_before: Counter[str] = Counter()
        self._steps: list[_Step] = []
        self._turns: list[Waterfall] = []
        self._turns_seen = 0

    # --- told -----------------------------------------------------------------------------------

    def latency(self, name: str, value_ms: float) -> None:
        """A moment before its cause is clocks' doing, of some microseconds, and counts as 0."""
        self._waiting.setdefault(name, []).append(round(value_ms * 1000))

    def batch(self, name: str) -> list[int]:
        """Where to append microseconds, for figures that come with every frame."""
        return self._waiting.setdefault(name, [])

    def error(self, text: str) -> None:
        known = text in self.errors or len(self.errors) < MOST_TEXTS
        self.errors[text if known else OTHERS] += 1

    def outcome(self, text: str) -> None:
        known = text in self.outcomes or len(self.outcomes) < MOST_TEXTS
        self.outcomes[text if known else OTHERS] += 1

    def note(self, text: str) -> None:
        """Said once in the result."""
        self.notes[text] = None

    def turn(self, waterfall: Waterfall) -> None:
        """Of all turns, each has the same chance to be kept."""
        self._turns_seen += 1
        if len(self._turns) < MOST_TURNS:
            self._turns.append(waterfall)
        elif (place := self._rng.randrange(self._turns_seen)) < MOST_TURNS:
            self._turns[place] = waterfall

    # --- the clock ------------------------------------------------------------------------------

    def step(self, at_s: float, calls_up: int) -> Now:
        """A second is over."""
        grown = self._take()
        counts, before = self.counts, self._counts_before
        errors = sum(self.errors.values())
        self._steps.append(
            _Step(
                at_s,
                calls_up,
                counts["turns"] - before["turns"],
                errors - before["errors"],
                counts["calls"] - before["calls"],
                grown,
            )
        )
        self._counts_before = Counter(turns=counts["turns"], errors=errors, calls=counts["calls"])
        ended, turns = counts["calls"], counts["turns"]
        return Now(at_s, calls_up, ended, turns, errors, self._percentiles(), {**counts})

    def _take(self) -> dict[str, Buckets]:
        """Into the histograms with what was told since; quick, for frames wait meanwhile."""
        grown = {}
        for name, values in self._waiting.items():
            if values:
                figure = self._figures.setdefault(name, Latency())
                grown[name] = figure.record_many_us(np.array(values, dtype=np.int64))
                values.clear()  # the list stays: others append to it
        return grown

    def _percentiles(self) -> dict[str, tuple[float, float, float]]:
        found = {}
        for name, figure in self._figures.items():
            p50, p95, p99 = figure.percentiles_ms((50, 95, 99))
            found[name] = (p50, p95, p99)
        return found

    # --- read at the end ------------------------------------------------------------------------

    def figures(self) -> dict[str, Figure]:
        self._take()
        return {name: Figure.of(one) for name, one in self._figures.items() if one.count}

    def series(self) -> tuple[Second, ...]:
        return tuple(_second(step) for step in self._steps)

    def turns(self) -> tuple[Waterfall, ...]:
        return tuple(self._turns)


def _second(step: _Step) -> Second:
    return Second(
        at_s=round(step.at_s, 3),
        calls_up=step.calls_up,
        turns=step.turns,
        errors=step.errors,
        ended=step.ended,
        figures={
            name: SecondFigure.of(Latency.from_buckets(buckets))
            for name, buckets in step.grown.items()
        },
    )
