"""What the tests of the harness share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from loadtest.harness.figures import Latency
from loadtest.harness.result import Figure, Result

MakeResult = Callable[..., Result]


@pytest.fixture
def make_result() -> MakeResult:
    """A small result; ``figures`` are values in milliseconds."""

    def make(figures: Mapping[str, Sequence[float]] | None = None, **changes: object) -> Result:
        given: dict[str, Any] = {
            "version": "0.1.0",
            "kind": "run",
            "started_at": "2025-03-01T12:00:00+00:00",
            "seconds": 10.0,
            "partial": False,
            "valid": True,
            "plan": {"target": "ws://127.0.0.1:1/media", "calls": 2, "seed": 1},
            "machine": {"cores": 2, "generator_late_p99_ms": 1.0},
            "figures": {
                name: Figure.of(Latency.of(values)) for name, values in (figures or {}).items()
            },
            "counts": {"calls": 2, "turns": 4},
            "outcomes": {"studio": 2},
            "errors": {},
        }
        return Result(**{**given, **changes})

    return make
