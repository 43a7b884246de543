import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodecs import (
    alaw_level_dbfs,
    alaw_to_pcm16,
    level_dbfs,
    pcm16_to_ulaw,
    ulaw_level_dbfs,
    ulaw_to_pcm16,
)


def sine(amplitude: float, count: int = 8000, frequency_hz: float = 400) -> bytes:
    phase = 2 * np.pi * frequency_hz * np.arange(count) / 8000
    return np.rint(amplitude * np.sin(phase)).astype("<i2").tobytes()


def reference_dbfs(pcm16: bytes) -> float:
    samples = np.frombuffer(pcm16, "<i2").astype(np.float64)
    rms = math.sqrt(np.mean(samples**2)) if len(samples) else 0.0
    return 20 * math.log10(rms / 32768) if rms else -math.inf


@pytest.mark.parametrize(
    ("pcm16", "expected"),
    [
        (b"\x00\x80" * 160, 0.0),
        (sine(32767), -3.01),
        (sine(3276.7), -23.01),
        (b"\x01\x00" * 160, -90.31),
        (b"\x00\x40\x00\xc0" * 80, -6.02),
    ],
    ids=["loudest", "full-scale sine", "a tenth", "smallest constant", "half-scale square"],
)
def test_level_is_the_rms_against_full_scale(pcm16: bytes, expected: float) -> None:
    assert level_dbfs(pcm16) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("count", [0, 160])
def test_silence_and_nothing_are_below_every_level(count: int) -> None:
    assert level_dbfs(bytes(2 * count)) == -math.inf
    assert ulaw_level_dbfs(b"\xff" * count) == -math.inf
    assert ulaw_level_dbfs(b"\x7f" * count) == -math.inf


def test_alaw_silence_is_its_smallest_step() -> None:
    assert alaw_level_dbfs(b"\xd5" * 160) == pytest.approx(-72.25, abs=0.005)


@given(st.binary(max_size=200).map(lambda half: half + half))
def test_level_agrees_with_the_definition(pcm16: bytes) -> None:
    assert level_dbfs(pcm16) == pytest.approx(reference_dbfs(pcm16), abs=0.001)


@given(st.binary(max_size=320))
def test_g711_levels_are_those_of_the_decoded_samples(codes: bytes) -> None:
    assert ulaw_level_dbfs(codes) == level_dbfs(ulaw_to_pcm16(codes))
    assert alaw_level_dbfs(codes) == level_dbfs(alaw_to_pcm16(codes))


@given(st.integers(1, 159))
def test_quiet_frames_are_told_apart(loud_samples: int) -> None:
    """One step of mu-law in a few samples of a frame; whole-number RMS would call most of it 0."""
    frame = pcm16_to_ulaw(b"\x08\x00" * loud_samples + b"\x00\x00" * (160 - loud_samples))
    expected = 20 * math.log10(8 * math.sqrt(loud_samples / 160) / 32768)
    assert ulaw_level_dbfs(frame) == pytest.approx(expected, abs=0.001)


def test_half_a_sample_has_no_level() -> None:
    with pytest.raises(
        ValueError, match=re.escape("pcm16 is 1 bytes long, expected whole samples")
    ):
        level_dbfs(b"\x00")


def test_sox_measures_the_same(sox: Callable[..., bytes]) -> None:
    raw = ("-t", "raw", "-r", "8000", "-c", "1", "-e", "signed-integer", "-b", "16", "-L")
    tone = sine(1000) + sine(4321, frequency_hz=1234)
    report = sox("-D", *raw, "-", "-n", "stats", stdin=tone).decode()
    measured = re.search(r"RMS lev dB\s+(-[\d.]+)", report)
    assert measured, report
    assert level_dbfs(tone) == pytest.approx(float(measured[1]), abs=0.01)
