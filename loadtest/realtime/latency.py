"""How long the simulated model takes: named profiles from published measurements, drawn by seed.

Durations are drawn from log-normal distributions, given as median and 95th percentile (real
response times have that long right tail) and cut off at stated limits.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_Z95 = 1.6449  # the standard normal distribution's 95th percentile


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds, log-normal between two limits. A median of zero is always zero."""

    median_ms: float
    p95_ms: float
    least_ms: float = 0.0
    most_ms: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.median_ms <= self.p95_ms:
            raise ValueError(
                f"median_ms is {self.median_ms} and p95_ms is {self.p95_ms},"
                " expected 0 <= median_ms <= p95_ms"
            )

    def draw_ms(self, rng: random.Random) -> float:
        if not self.median_ms:
            return 0.0
        sigma = math.log(self.p95_ms / self.median_ms) / _Z95
        drawn = self.median_ms * math.exp(rng.gauss(0.0, sigma))
        return min(max(drawn, self.least_ms), self.most_ms)

    def draw_s(self, rng: random.Random) -> float:
        return self.draw_ms(rng) / 1000


NEVER = Spread(0, 0)


@dataclass(frozen=True, slots=True)
class LatencyProfile:
    """Every delay of a simulated session."""

    name: str
    created: Spread
    """Upgrade to ``session.created``."""
    configured: Spread
    """``session.update`` to ``session.updated``."""
    first_delta: Spread
    """``speech_stopped`` to the first audio delta or first piece of a tool call."""
    client_extra: Spread
    """What a response takes longer that the client asked for with ``response.create``."""
    lead_silence: Spread
    """Near-silence at the start of each answer's audio."""
    transcription: Spread
    """``committed`` to the finished transcript of the caller's turn."""
    speed: float
    """Audio is delivered this many times faster than it plays; ``inf`` is at once."""
    burst: int
    """Deltas leave in groups of one up to this many, then pause to keep the speed."""
    trailing: int
    """Up to this many deltas still arrive after a response was cancelled."""


def _immediate() -> LatencyProfile:
    return LatencyProfile(
        "instant", NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, math.inf, burst=1, trailing=1
    )


# gpt-realtime over WebSocket, 30 turns, January 2026 (AIEWF voice benchmark notes, pipecat):
# speech_stopped to first delta median 670 ms (17 to 1,207); silent lead ~150-190 ms in the median,
# up to 950; network ~77 ms. gpt-realtime-2.1 delivers 3.2 to 5.0 s of audio within the first second
# of a reply (Taxila network measurements), that is about five times real time; a client-made
# response takes 0.3 to 0.5 s longer than an automatic one (same source).
_TYPICAL = LatencyProfile(
    name="typical",
    created=Spread(120, 250, 40, 1000),
    configured=Spread(60, 120, 20, 500),
    first_delta=Spread(670, 1100, 17, 1207),
    client_extra=Spread(400, 500, 300, 600),
    lead_silence=Spread(170, 600, 0, 950),
    transcription=Spread(500, 1200, 150, 4000),
    speed=5.0,
    burst=4,
    trailing=3,
)

PROFILES: Mapping[str, LatencyProfile] = MappingProxyType(
    {
        # No delay at all: for tests that are about order, not about time.
        "instant": _immediate(),
        # The lower end of the same benchmark: a short prompt, minimal effort, a near region.
        "fast": LatencyProfile(
            name="fast",
            created=Spread(40, 80, 10, 200),
            configured=Spread(20, 40, 5, 100),
            first_delta=Spread(300, 450, 17, 600),
            client_extra=Spread(50, 100, 0, 150),
            lead_silence=Spread(60, 120, 0, 200),
            transcription=Spread(250, 500, 80, 1500),
            speed=5.0,
            burst=4,
            trailing=3,
        ),
        "typical": _TYPICAL,
        # gpt-realtime-2.1 on Azure, 21 ms round trip: end of speech to first delta p50 1.91 s with
        # 900 ms of VAD in it (1.55 to 3.17), so about 1.0 s (0.65 to 2.27) after speech_stopped
        # (Taxila network measurements); response.create to first delta 1.0 to 1.5 s off-peak.
        "slow": LatencyProfile(
            name="slow",
            created=Spread(250, 600, 80, 2000),
            configured=Spread(120, 300, 40, 1000),
            first_delta=Spread(1010, 1900, 650, 2270),
            client_extra=Spread(400, 500, 300, 600),
            lead_silence=Spread(190, 700, 0, 950),
            transcription=Spread(900, 2500, 200, 8000),
            speed=4.0,
            burst=4,
            trailing=3,
        ),
        # The same model at busy hours: response.create to first delta, session medians of 2.4 to
        # 3.2 s (Taxila context measurements); a session can take seconds to come up.
        "busy": LatencyProfile(
            name="busy",
            created=Spread(800, 2500, 200, 8000),
            configured=Spread(300, 1000, 60, 3000),
            first_delta=Spread(2400, 4200, 1200, 8000),
            client_extra=Spread(400, 900, 300, 2100),
            lead_silence=Spread(190, 700, 0, 950),
            transcription=Spread(1500, 5000, 300, 15000),
            speed=3.2,
            burst=3,
            trailing=4,
        ),
    }
)
"""By name. Sources are noted beside each; what no source states (created, configured,
transcription) is an assumption of the same order as the figures next to it."""


def profile(name: str) -> LatencyProfile:
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(
            f"no latency profile named {name!r}; there are: {', '.join(PROFILES)}"
        ) from None
