"""Is B's percentile higher than A's beyond what chance gives? One figure, one or more runs a side.

What is compared is the mean over a side's runs of the percentile (or mean) of each run. Two
sources of chance are looked at apart, and the wider interval counts:

Within a run, from turn to turn: the bootstrap. Drawing a run's n values again with replacement and
taking percentile p is drawing the value at a rank that is Beta((n+1)p, (n+1)(1-p)) distributed, so
this is done at once from the histogram, 10,000 times (Harrell and Davis 1982). A mean is drawn from
the normal distribution of its standard error.

From run to run: with two or more runs on a side, the runs' own figures scatter by more than turns
explain (another minute, another neighbour on the machine). Student's t with the pooled variance
of the runs around their side's mean; with few runs its tails are wide, as they have to be.
With one run a side this part is unknown, and only turns are spoken of: the caller has to say so.

Within a run, from frame to frame (``difference_by_parts``): frames are not independent, so the run
is cut into a few long parts, and the scatter of the parts' own figures around that of the whole
run tells how sure it is (sectioning: Asmussen and Glynn 2007, III.5a). Student's t with one degree
less than the run with the fewest parts has: variances need not be equal.

``low`` and ``high`` are one-sided bounds: each fails with probability ``alpha`` where nothing
differs. Values are those of an HdrHistogram, exact to three digits.

Counts (failed calls, unanswered turns): under equal rates, of all events together B's share is
binomial by B's share of the opportunities (Przyborowski and Wilenski 1940). It takes events to be
independent, so it is for calls and turns, not for frames, which are lost in bursts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from loadtest.harness.figures import PERCENTILES, Latency

ROUNDS = 10_000
MEAN = "mean"
STATISTICS = (*PERCENTILES, MEAN)
"""``max`` is no property of a system, but of how long one looked."""
_LEAST_BEYOND = 5
"""Values that have to lie on each side of a percentile, in every run."""

Draws: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """B less A, in milliseconds, with its bounds."""

    a_ms: float
    b_ms: float
    low_ms: float
    high_ms: float

    @property
    def ms(self) -> float:
        return self.b_ms - self.a_ms


def least_count(statistic: str) -> int:
    """How many values a run needs before its percentile can be compared."""
    if statistic == MEAN:
        return 2 * _LEAST_BEYOND
    share = PERCENTILES[statistic] / 100
    return math.ceil(round(_LEAST_BEYOND / min(share, 1 - share), 6))


def difference(
    a: Sequence[Latency],
    b: Sequence[Latency],
    statistic: str,
    alpha: float,
    random: np.random.Generator,
) -> Difference:
    """One histogram for each run; every one has ``least_count`` values or more."""
    runs_a, runs_b = ([_Run.of(one, statistic, random) for one in side] for side in (a, b))
    a_ms, b_ms = (_mean([run.value_ms for run in runs]) for runs in (runs_a, runs_b))
    drawn = sum(run.draws for run in runs_b) / len(b) - sum(run.draws for run in runs_a) / len(a)
    bounds = [np.quantile(drawn, (alpha, 1 - alpha))]
    freedom = len(a) + len(b) - 2
    if freedom:
        error_ms = _pooled_error_ms(runs_a, runs_b)
        between = b_ms - a_ms + error_ms * random.standard_t(freedom, ROUNDS)
        bounds.append(np.quantile(between, (alpha, 1 - alpha)))
    lows, highs = zip(*bounds, strict=True)
    return Difference(a_ms, b_ms, float(min(lows)), float(max(highs)))


@dataclass(frozen=True, slots=True)
class Parted:
    """One run, whole and in two or more parts of it that follow one another."""

    whole: Latency
    parts: Sequence[Latency]

    def squared_error_ms2(self, statistic: str) -> float:
        """Of the whole run's figure, by the scatter of its parts."""
        whole_ms, count = self.whole.statistic_ms(statistic), len(self.parts)
        squares = sum((part.statistic_ms(statistic) - whole_ms) ** 2 for part in self.parts)
        return squares / (count - 1) / count


def difference_by_parts(
    a: Sequence[Parted],
    b: Sequence[Parted],
    statistic: str,
    alpha: float,
    random: np.random.Generator,
) -> Difference:
    """For values that come in bunches; bounds are never narrower than those of ``difference``."""
    whole_a, whole_b = ([run.whole for run in side] for side in (a, b))
    found = difference(whole_a, whole_b, statistic, alpha, random)
    error_ms = math.sqrt(
        sum(run.squared_error_ms2(statistic) / len(side) ** 2 for side in (a, b) for run in side)
    )
    freedom = min(len(run.parts) for run in (*a, *b)) - 1
    reach_ms = error_ms * float(np.quantile(random.standard_t(freedom, ROUNDS), 1 - alpha))
    return Difference(
        found.a_ms,
        found.b_ms,
        min(found.low_ms, found.ms - reach_ms),
        max(found.high_ms, found.ms + reach_ms),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    value_ms: float
    draws: Draws

    @classmethod
    def of(cls, latency: Latency, statistic: str, random: np.random.Generator) -> _Run:
        values, counts = latency.values_ms()
        n = latency.count
        if statistic == MEAN:
            mean = latency.mean_ms
            error = math.sqrt(float((counts * (values - mean) ** 2).sum()) / (n - 1) / n)
            return cls(mean, random.normal(mean, error, ROUNDS))
        share = PERCENTILES[statistic] / 100
        upto = np.cumsum(counts) / n
        ranks = random.beta((n + 1) * share, (n + 1) * (1 - share), ROUNDS)
        at, *drawn = np.minimum(np.searchsorted(upto, [share, *ranks]), len(values) - 1)
        return cls(float(values[at]), values[drawn])


def _pooled_error_ms(a: Sequence[_Run], b: Sequence[_Run]) -> float:
    """Standard error of the difference of the two means over runs."""
    squares = sum(
        (run.value_ms - _mean([one.value_ms for one in runs])) ** 2
        for runs in (a, b)
        for run in runs
    )
    variance = squares / (len(a) + len(b) - 2)
    return math.sqrt(variance * (1 / len(a) + 1 / len(b)))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@dataclass(frozen=True, slots=True)
class Tally:
    """Events, and how often there could have been one."""

    events: int
    of: int

    @property
    def share(self) -> float:
        return self.events / self.of


def p_more(a: Tally, b: Tally) -> float:
    """How likely equal rates would give B as many of the events as it has, or more."""
    total = a.events + b.events
    share = b.of / (a.of + b.of)
    return min(1.0, math.fsum(_binomial(total, k, share) for k in range(b.events, total + 1)))


def _binomial(n: int, k: int, share: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))
