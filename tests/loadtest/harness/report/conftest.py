"""A result with everything in it, as a run of 120 s would leave it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from loadtest.harness.figures import Latency
from loadtest.harness.gates import judge_all, parse_all
from loadtest.harness.result import (
    Figure,
    Process,
    ProcessReading,
    Result,
    Second,
    SecondFigure,
    Waterfall,
)

MEDIANS_MS = {
    "first_audio_out": 940.0,
    "first_model_audio": 410.0,
    "greeting": 42.0,
    "barge_in": 180.0,
    "uplink": 1.2,
    "generator_late": 0.4,
}
GATES = (
    "first_audio_out.p95=1400ms",
    "first_model_audio.p95=500ms",
    "greeting.p95=50ms",
    "lost_frames=0",
    "unanswered_turns.share=1%",
)
COUNTS = {
    "calls": 203,
    "calls_failed": 2,
    "turns": 2_411,
    "unanswered_turns": 3,
    "answers": 2_408,
    "frames": 1_192_340,
    "lost_frames": 0,
    "late_frames": 12,
}


def values(name: str, count: int, random_: random.Random) -> list[float]:
    """Skewed as waiting times are."""
    return [MEDIANS_MS[name] * random_.lognormvariate(0, 0.22) for _ in range(count)]


def seconds(random_: random.Random) -> list[Second]:
    made = []
    for second in range(1, 121):
        count = random_.randrange(5, 30)
        figures = {
            name: SecondFigure.of(Latency.of(values(name, count, random_))) for name in MEDIANS_MS
        }
        made.append(
            Second(
                at_s=float(second),
                calls_up=min(200, second * 10, (121 - second) * 20),
                turns=count,
                errors=int(second in (40, 41, 90)),
                ended=int(second > 100),
                figures=figures,
            )
        )
    return made


def turns(random_: random.Random, count: int) -> list[Waterfall]:
    made = [Waterfall(call="CA-silent", turn=1, uplink_ms=1.0, speech_stopped_ms=500.0)]
    for number in range(count - 1):
        stopped = 500 + random_.uniform(0, 30)
        model = stopped + 410 * random_.lognormvariate(0, 0.3)
        sent = model + random_.uniform(0.5, 3)
        made.append(
            Waterfall(
                call=f"CA{number:032x}",
                turn=number % 6 + 1,
                uplink_ms=random_.uniform(0.6, 3),
                speech_stopped_ms=stopped,
                first_model_audio_ms=model,
                first_audio_sent_ms=sent,
                first_audio_out_ms=sent + random_.uniform(0, 20),
                mark_ms=sent + 900 + random_.uniform(0, 20),
            )
        )
    return made


def full_result(**changes: object) -> Result:
    random_ = random.Random(7)
    figures = {name: Figure.of(Latency.of(values(name, 2_400, random_))) for name in MEDIANS_MS}
    readings = tuple(
        ProcessReading(
            at_s=float(at),
            cpu_share=min(0.62, at / 30) + random_.uniform(-0.02, 0.02),
            rss_kib=90_000 + min(at, 20) * 900,
            files=31 + min(200, at * 10) * 2,
            threads=3,
        )
        for at in range(1, 121)
    )
    given: dict[str, Any] = {
        "version": "0.1.0",
        "kind": "run",
        "started_at": "2026-03-01T12:00:00+00:00",
        "seconds": 121.4,
        "partial": False,
        "valid": True,
        "plan": {
            "target": "wss://127.0.0.1:8443/media",
            "calls": 200,
            "ramp": "10/s",
            "for_s": 120.0,
            "scenarios": {"schedule": 3, "billing": 1},
            "seed": 1,
            "model": {"profile": "typical", "voice": None},
            "line": {"jitter_ms": 5, "loss": 0.0},
        },
        "machine": {"python": "3.11.4", "cores": 2, "generator_late_p99_ms": 0.9},
        "figures": figures,
        "counts": COUNTS,
        "outcomes": {"flex: billing": 120, "studio_return": 60, "caller hung up": 23},
        "errors": {"31921 stream closed with code 1011": 2, "no answer within 10 s": 1},
        "series": tuple(seconds(random_)),
        "turns": tuple(turns(random_, 200)),
        "process": Process(pid=4711, cpu_us_per_frame=18.4, series=readings),
    }
    result = Result(**{**given, **changes})
    if "gates" in changes:
        return result
    return result.model_copy(update={"gates": judge_all(parse_all(GATES), result)})


FullResult = Callable[..., Result]


@pytest.fixture(scope="session")
def make_full_result() -> FullResult:
    """Everything there, one gate failed; fields may be changed."""
    return full_result
