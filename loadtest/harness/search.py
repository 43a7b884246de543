"""How many calls a bridge carries: which number to try next, and how sure repeated runs make it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import TypeAlias

FINE_SHARE = 0.05
"""The search ends when the least number that failed is within this of the most that passed."""
REPEATS_WHEN_FAILED, REPEATS_WHEN_LATE = 1, 2
_GROWTH = 2.0
_ROUND_TO = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """One number of calls, once. ``complaints``: why it did not pass; empty where it did.

    ``generator_late``: the load itself was late, so the failure may not be the bridge's.
    """

    calls: int
    complaints: tuple[str, ...] = ()
    generator_late: bool = False
    figures: tuple[tuple[str, float], ...] = ()
    cpu_share: float = 0.0
    """Of one core, used by the bridge; 0 where it was not watched."""

    @property
    def passed(self) -> bool:
        return not self.complaints and not self.generator_late

    def to_json(self) -> dict[str, object]:
        return {
            "calls": self.calls,
            "passed": self.passed,
            "complaints": list(self.complaints),
            "generator_late": self.generator_late,
            "figures": dict(self.figures),
            "cpu_share": round(self.cpu_share, 3) or None,
        }


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Bounds of one search: the first number tried, the most, and how many trials at all."""

    start: int = 10
    limit: int = 1000
    trials: int = 12


@dataclass(frozen=True, slots=True)
class Search:
    """One run of the search."""

    trials: tuple[Trial, ...]
    limit: int

    @property
    def carried(self) -> int:
        """The most calls that passed, with nothing below them failing; 0 where none passed."""
        return _carried(self.trials)

    @property
    def says_something(self) -> bool:
        """Of the bridge: it carried calls, or carried them not while the load was on time."""
        return self.carried > 0 or not self.is_floor

    @property
    def is_floor(self) -> bool:
        """The bridge may carry more: the search ended at its limit, or at the generator's."""
        beyond = [trial for trial in self.trials if not trial.passed]
        if not beyond:
            return True
        first = min(beyond, key=lambda trial: trial.calls)
        return first.generator_late


Choice: TypeAlias = Callable[[Sequence["Trial"], "SearchPlan"], int | None]
"""The next number of calls after these trials; None when another would say nothing new."""


async def search(
    plan: SearchPlan,
    attempt: Callable[[int], Awaitable[Trial]],
    choose: Choice | None = None,
) -> Search:
    """Try numbers of calls until the answer is fine enough or the trials are used up.

    ``choose`` goes before doubling and halving, for who knows more, such as CPU. A failure is tried
    once more before it counts, and one with a late generator twice: on a shared machine one bad
    second is nobody's limit. Repetitions count as trials.
    """
    trials: list[Trial] = []
    done = 0
    while done < plan.trials:
        calls = (choose or next_calls)(trials, plan)
        if calls is None:
            break
        trial = await attempt(calls)
        done += 1
        repeats = REPEATS_WHEN_LATE if trial.generator_late else REPEATS_WHEN_FAILED
        while not trial.passed and repeats and done < plan.trials:
            trial = await attempt(calls)
            done, repeats = done + 1, repeats - 1
        trials.append(trial)
    return Search(tuple(trials), plan.limit)


def next_calls(trials: Sequence[Trial], plan: SearchPlan) -> int | None:
    """Doubles while everything passes, then halves the way; None when that says nothing new."""
    if not trials:
        return min(plan.start, plan.limit)
    best = _carried(trials)
    failed = [trial.calls for trial in trials if not trial.passed]
    if not failed:
        return None if best >= plan.limit else min(plan.limit, round(best * _GROWTH))
    worst = min(failed)
    if worst - best <= max(1, best * FINE_SHARE):
        return None
    middle = (best + worst) / 2
    rounded = round(middle / _ROUND_TO) * _ROUND_TO
    calls = rounded if best < rounded < worst else round(middle)
    return calls if best < calls < worst else None


def _carried(trials: Sequence[Trial]) -> int:
    worst = min((trial.calls for trial in trials if not trial.passed), default=None)
    passed = [t.calls for t in trials if t.passed and (worst is None or t.calls < worst)]
    return max(passed, default=0)


@dataclass(frozen=True, slots=True)
class Confidence:
    """What several searches say together."""

    runs: tuple[int, ...]
    """Sorted."""

    @property
    def median(self) -> float:
        return float(median(self.runs))

    @property
    def interval(self) -> tuple[int, int, float]:
        """Lower, upper, and how likely the median of all such runs lies between them.

        From order alone, whatever the distribution: all of ``n`` values miss the true median on
        the same side with probability 2 x 0.5^n; with more runs the interval can be drawn in.
        """
        count = len(self.runs)
        best = (self.runs[0], self.runs[-1], _coverage(count, 1))
        for rank in range(2, count // 2 + 1):
            sure = _coverage(count, rank)
            if sure < _WANTED:
                break
            best = (self.runs[rank - 1], self.runs[-rank], sure)
        return best

    def sentence(self, *, floor: bool = False) -> str:
        lower, upper, sure = self.interval
        if not upper:
            return "not one of the numbers tried was carried"
        more = " or more (the searches ended at their own limit, not the bridge's)" if floor else ""
        if len(self.runs) == 1:
            return f"{self.runs[0]} calls{more} in a single run: no statement about the next one"
        return (
            f"{self.median:g} calls{more}: median of {len(self.runs)} runs ({_listed(self.runs)}). "
            f"With {sure:.0%} confidence such runs have their median between {lower} and {upper}; "
            f"every run carried {self.runs[0]}"
        )


_WANTED = 0.95


def _coverage(count: int, rank: int) -> float:
    """That the median lies between the ``rank``-th smallest and the ``rank``-th largest."""
    outside: float = sum(comb(count, below) for below in range(rank)) / 2.0**count
    return 1 - 2 * outside


def _listed(runs: Sequence[int]) -> str:
    return ", ".join(str(run) for run in runs)


def confidence(searches: Sequence[Search]) -> Confidence:
    """Of at least one search that says something; the others are left out."""
    runs = sorted(one.carried for one in searches if one.says_something)
    if not runs:
        raise ValueError("no search says anything")
    return Confidence(tuple(runs))
