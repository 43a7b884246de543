"""A run cut into parts that follow one another, from the histograms its seconds keep.

Frames that are on their way together wait together, so frames are no independent values, and
neither are neighbouring seconds. Parts of a run are nearly so where they are long beside the time
for which a slow moment lasts: so there are few of them, and the longer the run, the longer they
are (batch means, Schmeiser 1982).
"""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.harness.figures import Latency
from loadtest.harness.result import Second

LEAST_PARTS = 3
MOST_PARTS = 5
SHORTEST_S = 3.0
_SLACK_S = 0.1
"""Seconds are told some milliseconds early or late."""


def parts(series: Sequence[Second], name: str, fewest: int) -> tuple[Latency, ...]:
    """At most ``MOST_PARTS``, each of ``SHORTEST_S`` or more and of ``fewest`` values or more.

    What is left over at the end belongs to the last one. None where a second kept no histogram.
    """
    begins_s = [0.0, *(second.at_s for second in series)]
    steps = [
        (begin_s, second.at_s, second.figures[name].hdr)
        for begin_s, second in zip(begins_s, series, strict=False)
        if name in second.figures
    ]
    if not steps:
        return ()
    long_s = max(SHORTEST_S, (steps[-1][1] - steps[0][0]) / MOST_PARTS)
    found: list[Latency] = []
    part, began_s = Latency(), steps[0][0]
    for _, end_s, hdr in steps:
        if hdr is None:
            return ()
        part.add(Latency.decode(hdr))
        if end_s - began_s >= long_s - _SLACK_S and part.count >= fewest:
            found.append(part)
            part, began_s = Latency(), end_s
    if found:
        found[-1].add(part)
    return tuple(found)
