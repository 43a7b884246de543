"""What a comparison is asked: which figures, what counts as noise, how rare an alarm has to be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loadtest.harness.differences import STATISTICS
from loadtest.harness.names import COUNTS, FIGURES

DEFAULT_STATISTICS = ("p50", "p95")
NOT_THE_BRIDGE = ("generator_late",)
"""Figures that say something of the load generator: compared only where they are asked for."""
PER_FRAME = ("uplink", "downlink", "generator_late")
"""Neighbouring frames wait together: parts of a run are compared, or two runs a side."""
COUNTED = {"calls_failed": "calls", "streams_refused": "calls", "unanswered_turns": "turns"}
"""Counts that are compared, and of what they are a share."""
_NOISE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%|ms)")


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


FRAMES_MEDIAN, FRAMES_TAIL = Noise(0.25, 2.0), Noise(0.25, 20.0)
TURNS_MEDIAN, TURNS_TAIL = Noise(0.0, 20.0), Noise(0.0, 60.0)


def floor(name: str, statistic: str) -> Noise:
    """By how much two runs of the same bridge may differ, where there is one run on a side.

    Ten runs of five calls and 25 s, on two cores that others kept busy, lay apart by up to 0.8 ms
    at the median and 11 ms at p95 for frames, and by 20 and 54 ms for turns (``setup``).
    """
    median = statistic == "p50"
    if name in PER_FRAME:
        return FRAMES_MEDIAN if median else FRAMES_TAIL
    return TURNS_MEDIAN if median else TURNS_TAIL


@dataclass(frozen=True, slots=True)
class Question:
    """``figures`` such as ``first_audio_out.p95`` or ``barge_in``; none: all that both measured.

    Raises CompareError for a figure that is unknown or cannot be compared."""

    figures: tuple[str, ...] = ()
    noise: Noise = Noise()
    alpha: float = 0.05
    seed: int = 1

    def __post_init__(self) -> None:
        self.wanted()

    def wanted(self) -> list[tuple[str, str]]:
        """Names and statistics."""
        return [pair for text in self.figures for pair in _parsed(text)]


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
