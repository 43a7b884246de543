"""The result file: what one run, or several merged, measured. One JSON document, ``schema`` 1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loadtest.harness.figures import PERCENTILES, Latency

SCHEMA = 1
MOST_TURNS = 200


class ResultError(ValueError):
    """A file that is no result, or not one this version reads; the message names file and fault."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Figure(_Model):
    """A latency over the whole run; ``hdr`` holds every value to three digits."""

    unit: Literal["ms"] = "ms"
    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    max: float
    hdr: str

    @classmethod
    def of(cls, latency: Latency) -> Figure:
        """Of at least one value."""
        percentiles = {name: latency.percentile_ms(share) for name, share in PERCENTILES.items()}
        return cls.model_validate(
            {
                "count": latency.count,
                "mean": round(latency.mean_ms, 3),
                "max": latency.max_ms,
                "hdr": latency.encode(),
                **percentiles,
            }
        )

    def latency(self) -> Latency:
        return Latency.decode(self.hdr)


class SecondFigure(_Model):
    """A latency within one step of the series."""

    count: int
    p50: float
    p95: float
    max: float
    hdr: str | None = None

    @classmethod
    def of(cls, latency: Latency) -> SecondFigure:
        return cls(
            count=latency.count,
            p50=latency.percentile_ms(50),
            p95=latency.percentile_ms(95),
            max=latency.max_ms,
            hdr=latency.encode(),
        )


class Second(_Model):
    """One step of the series: ``calls_up`` at its end, the others within it."""

    at_s: float
    calls_up: int
    turns: int
    errors: int
    ended: int
    figures: dict[str, SecondFigure] = {}


class Waterfall(_Model):
    """One turn: when things happened after the caller's last audible frame; null where unknown."""

    call: str
    turn: int
    caller_end_ms: float = 0.0
    uplink_ms: float | None = None
    """That frame reached the model."""
    speech_stopped_ms: float | None = None
    first_model_audio_ms: float | None = None
    first_audio_sent_ms: float | None = None
    """The answer's first audio reached Twilio."""
    first_audio_out_ms: float | None = None
    """The answer is audible."""
    mark_ms: float | None = None
    """The first mark of the answer was reached."""


class Judged(_Model):
    """A gate and how the run fared. ``value`` is null where nothing was measured."""

    gate: str
    figure: str
    value: float | None
    limit: float
    unit: str
    passed: bool
    why: str = ""


class ProcessReading(_Model):
    """The bridge's process, or with children all of them together, at one moment."""

    at_s: float
    cpu_share: float
    """Of one core since the reading before."""
    rss_kib: int
    files: int
    threads: int


class Process(_Model):
    pid: int
    cpu_us_per_frame: float | None
    series: tuple[ProcessReading, ...] = ()


class Result(_Model):
    """``figures`` and ``counts`` go by the names of ``loadtest.harness.names``; what could not be
    measured is absent, never zero."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    version: str
    kind: Literal["run", "soak", "merged"]
    started_at: str
    seconds: float
    partial: bool
    valid: bool
    invalid_because: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    plan: dict[str, Any]
    machine: dict[str, Any]
    figures: dict[str, Figure]
    counts: dict[str, int]
    outcomes: dict[str, int]
    errors: dict[str, int]
    series: tuple[Second, ...] = ()
    turns: tuple[Waterfall, ...] = ()
    gates: tuple[Judged, ...] = ()
    process: Process | None = None
    parts: tuple[str, ...] = ()
    """Of a merged result: fingerprints of the runs in it."""

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)

    @property
    def gates_passed(self) -> bool:
        return all(gate.passed for gate in self.gates)


def write(result: Result, path: Path) -> None:
    """OSError where the file cannot be written."""
    text = json.dumps(result.to_json(), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Result:
    """Raises ResultError for anything but a result of this schema."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ResultError(f"{path}: no JSON: {error}") from None
    return parse(document, str(path))


def parse(document: object, name: str) -> Result:
    """``name`` is what errors call it."""
    if not isinstance(document, dict) or "schema" not in document:
        raise ResultError(f"{name}: no result of a load test (there is no key 'schema')")
    if document["schema"] != SCHEMA:
        raise ResultError(
            f"{name}: schema is {document['schema']!r}, this version reads schema {SCHEMA}"
        )
    try:
        result = Result.model_validate(document)
        for figure in result.figures.values():
            figure.latency()
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ResultError(f"{name}: {faults}") from None
    except ValueError as error:
        raise ResultError(f"{name}: figures: {error}") from None
    return result


def sampled(turns: Sequence[Waterfall]) -> tuple[Waterfall, ...]:
    """At most ``MOST_TURNS`` of them, evenly from first to last."""
    if len(turns) <= MOST_TURNS:
        return tuple(turns)
    return tuple(turns[n * len(turns) // MOST_TURNS] for n in range(MOST_TURNS))
