"""When calls begin. Pure arithmetic: the numbers come from a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

Arrival: TypeAlias = Literal["ramp", "steady", "poisson", "spike"]
ARRIVALS: tuple[Arrival, ...] = get_args(Arrival)


def begins(
    arrival: Arrival, calls: int, rate_per_s: float, for_s: float, rng: random.Random
) -> Iterator[float]:
    """Seconds after the start at which a call begins, up to ``for_s``.

    ``ramp``: ``calls`` places are filled at ``rate_per_s``. ``spike``: all at once. In both a call
    that ends is followed by another in its place. ``steady`` and ``poisson``: calls keep coming at
    ``rate_per_s``, evenly or at random, whatever becomes of those before.
    """
    if rate_per_s <= 0:
        raise ValueError(f"rate_per_s is {rate_per_s}, expected more than 0")
    match arrival:
        case "spike":
            yield from [0.0] * calls
        case "ramp":
            yield from _until(for_s, (n / rate_per_s for n in range(calls)))
        case "steady":
            yield from _until(for_s, (n / rate_per_s for n in range(int(for_s * rate_per_s) + 1)))
        case "poisson":
            yield from _until(for_s, _poisson(rate_per_s, rng))


def keeps_places(arrival: Arrival) -> bool:
    """Whether a call that ends is followed by another in its place."""
    return arrival in ("ramp", "spike")


def _poisson(rate_per_s: float, rng: random.Random) -> Iterator[float]:
    at_s = 0.0
    while True:
        at_s += rng.expovariate(rate_per_s)
        yield at_s


def _until(end_s: float, moments: Iterator[float]) -> Iterator[float]:
    for moment in moments:
        if moment >= end_s:
            return
        yield moment
