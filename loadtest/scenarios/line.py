"""What a telephone line does to the caller's voice before it reaches Twilio."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np

import audiocodecs
from loadtest.twilio.audio import SILENCE, Clip, Frame
from loadtest.twilio.wire import FRAME_BYTES

_NOISE_FRAMES = 250
"""Five seconds, over and over."""
_UNITS = {"dB": 1.0, "%": 1.0, "ms": 1.0, "s": 1000.0, "": 1.0}
_VALUE = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)(dB|%|ms|s|)")


class LineError(ValueError):
    """A condition that cannot be understood; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class LineConditions:
    """All zero (and no noise) is a perfect line.

    ``snr_db``: white noise so far below the caller's speech, in the pauses too. ``loss_percent`` of
    the packets never arrive, in runs of ``loss_run`` on the average; such runs lose at most
    ``loss_run / (loss_run + 1)`` of them. Packets are up to ``jitter_ms`` late. About every
    ``burst_every_ms`` the line stands still for ``burst_ms`` and then delivers all at once. Packets
    keep their order.
    """

    snr_db: float | None = None
    loss_percent: float = 0.0
    loss_run: float = 1.0
    jitter_ms: float = 0.0
    burst_ms: float = 0.0
    burst_every_ms: float = 5000.0

    def __post_init__(self) -> None:
        bounds = {
            "snr_db": (-20, 60),
            "loss_percent": (0, 90),
            "loss_run": (1, 50),
            "jitter_ms": (0, 2000),
            "burst_ms": (0, 5000),
            "burst_every_ms": (100, 600_000),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                asked = next((a for a, (of, _) in _ASKED.items() if of == name), name)
                raise LineError(
                    f"line condition {asked} ({name}) is {value:g}, expected {low} to {high}"
                )
        self._check_loss()

    def _check_loss(self) -> None:
        """Between two runs of lost packets one arrives, so runs bound the share."""
        loss, run = self.loss_percent, self.loss_run
        most = 100 * run / (run + 1)
        if loss > most:
            raise LineError(
                f"line condition loss (loss_percent) is {loss:g}, expected 0 to {most:.4g} with "
                f"loss-run (loss_run) {run:g}; so much needs a loss-run of "
                f"{math.ceil(10 * loss / (100 - loss)) / 10:g} or more"
            )

    @property
    def faulty(self) -> bool:
        """Whether packets are lost or late."""
        return bool(self.loss_percent or self.jitter_ms or self.burst_ms)


PERFECT = LineConditions()
_ASKED = {
    "snr": ("snr_db", "dB"),
    "loss": ("loss_percent", "%"),
    "loss-run": ("loss_run", ""),
    "jitter": ("jitter_ms", "ms"),
    "burst": ("burst_ms", "ms"),
    "burst-every": ("burst_every_ms", "ms"),
}


def parse_conditions(texts: Iterable[str]) -> LineConditions:
    """``snr=10dB``, ``loss=1%``, ``loss-run=3``, ``jitter=40ms``, ``burst=200ms``,
    ``burst-every=5s``."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        match = _VALUE.fullmatch(value)
        if name not in _ASKED or match is None or not _fits(_ASKED[name][1], match[2]):
            raise LineError(
                f"line condition {text!r}: expected snr=10dB, loss=1%, loss-run=3, jitter=40ms, "
                "burst=200ms or burst-every=5s"
            )
        found[_ASKED[name][0]] = float(match[1]) * _UNITS[match[2]]
    return replace(PERFECT, **found)


def _fits(wanted: str, given: str) -> bool:
    return given == wanted or (wanted == "ms" and given == "s")


def merged(own: LineConditions, for_all: LineConditions) -> LineConditions:
    """A scenario's own conditions, with those given for the whole run put over them."""
    changed = {
        item.name: getattr(for_all, item.name)
        for item in fields(LineConditions)
        if getattr(for_all, item.name) != getattr(PERFECT, item.name)
    }
    return replace(own, **changed)


# --- noise --------------------------------------------------------------------------------------


def noisy_clip(clip: Clip, snr_db: float) -> Clip:
    """The clip with noise under it; where its speech begins and ends stays as it was."""
    pcm = np.frombuffer(
        audiocodecs.ulaw_to_pcm16(b"".join(frame.ulaw for frame in clip.frames)), dtype="<i2"
    )
    level_dbfs = speech_dbfs(clip)
    if level_dbfs is None:
        return clip
    noise = _noise(level_dbfs - snr_db, len(pcm))
    mixed = np.clip(pcm.astype(np.int32) + noise, -32768, 32767).astype("<i2")
    ulaw = audiocodecs.pcm16_to_ulaw(mixed.tobytes())
    return Clip(clip.name, _frames(ulaw), clip.speech)


def background(clips: Iterable[Clip], snr_db: float) -> tuple[Frame, ...]:
    """What is on the line while nobody speaks: the same noise as under the loudest of the clips."""
    levels = [level for clip in clips if (level := speech_dbfs(clip)) is not None]
    if not levels:
        return (SILENCE,)
    noise = _noise(max(levels) - snr_db, _NOISE_FRAMES * FRAME_BYTES)
    return _frames(audiocodecs.pcm16_to_ulaw(noise.astype("<i2").tobytes()))


def speech_dbfs(clip: Clip) -> float | None:
    """RMS level from the first to the last audible frame; None for silence."""
    if clip.speech is None:
        return None
    first, last = clip.speech
    return audiocodecs.ulaw_level_dbfs(b"".join(f.ulaw for f in clip.frames[first : last + 1]))


@cache
def _white(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(count).standard_normal(count)


def _noise(level_dbfs: float, count: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    loud = _white(count) * (32768 * 10 ** (level_dbfs / 20))
    return np.clip(np.rint(loud), -32768, 32767).astype(np.int32)


def _frames(ulaw: bytes) -> tuple[Frame, ...]:
    steps = range(0, len(ulaw), FRAME_BYTES)
    return tuple(Frame.of(ulaw[start : start + FRAME_BYTES]) for start in steps)
