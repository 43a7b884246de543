"""Recognises a known recording by its own bytes, so that a replayed call gets its own script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .formats import VAD_FRAME_MS, AudioFormat
from .scenario import Scenario

PROBE_BYTES = 64
PROBES = 6
_FIRST_PART_MS = 6_000
"""Probes come from the start of a recording, where the first turn is."""


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A recording that may be played to the server, and what the assistant should know of it."""

    recording: bytes
    """8 kHz mu-law, the caller's side."""
    scenario: Scenario
    turns: tuple[str, ...]
    """Transcripts, turn by turn."""
    slots: Mapping[str, str] = field(default_factory=dict)


class CallBook:
    """Finds a call by the bytes of its first turn. Works where mu-law arrives as it was recorded; a
    lost or noisy packet costs at most a probe or two."""

    def __init__(self, calls: Iterable[KnownCall]) -> None:
        self._probes = [(_probes(call.recording), call) for call in calls]

    def find(self, audio: bytes) -> KnownCall | None:
        """The call that most of whose probes are in this mu-law audio."""
        best: tuple[int, KnownCall | None] = (1, None)
        for probes, call in self._probes:
            found = sum(probe in audio for probe in probes)
            if found > best[0]:
                best = (found, call)
        return best[1]


def _probes(recording: bytes) -> list[bytes]:
    """Short pieces of the loudest places, where no two recordings are alike."""
    size = VAD_FRAME_MS * AudioFormat.PCMU.bytes_per_ms
    head = recording[: _FIRST_PART_MS * AudioFormat.PCMU.bytes_per_ms]
    starts = range(0, len(head) - PROBE_BYTES, size)
    loudest = sorted(
        starts, key=lambda start: -AudioFormat.PCMU.level_dbfs(head[start : start + size])
    )
    return [head[start : start + PROBE_BYTES] for start in loudest[:PROBES]]
