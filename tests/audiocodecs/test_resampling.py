import itertools
import math
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodecs import RATES_HZ, Resampler, read_wav

Signal = npt.NDArray[np.float64]
PAIRS = list(itertools.permutations(RATES_HZ, 2))
each_pair = pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
AMPLITUDE = 20000


def pcm16(signal: Signal) -> bytes:
    return np.rint(signal).astype("<i2").tobytes()


def samples(data: bytes) -> Signal:
    return np.frombuffer(data, "<i2").astype(np.float64)


def resample(data: bytes, from_hz: int, to_hz: int) -> bytes:
    resampler = Resampler(from_hz, to_hz)
    return resampler.process(data) + resampler.flush()


def tone(frequency_hz: float, rate_hz: int, count: int) -> Signal:
    return AMPLITUDE * np.sin(2 * np.pi * frequency_hz * np.arange(count) / rate_hz + 1)


def expected_bytes(count: int, from_hz: int, to_hz: int) -> int:
    return 2 * math.ceil(count * to_hz / from_hz)


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """Noise of any length in bytes, and the places where it is cut, its two ends among them."""
    size = draw(st.integers(2, 4000))
    noise = np.random.default_rng(draw(st.integers(0, 1000))).bytes(size)
    cuts = draw(st.lists(st.integers(0, size), min_size=1, max_size=20))
    return noise, [0, *sorted(cuts), size]


@given(st.sampled_from(PAIRS), cut_streams())
def test_the_output_does_not_depend_on_the_chunking(
    pair: tuple[int, int], cut_stream: tuple[bytes, list[int]]
) -> None:
    """Bit by bit, with cuts in the middle of samples too."""
    stream, edges = cut_stream
    resampler = Resampler(*pair)
    made = [resampler.process(stream[a:b]) for a, b in itertools.pairwise(edges)]
    assert b"".join(made) + resampler.flush() == resample(stream, *pair)


@given(st.sampled_from(PAIRS), st.integers(0, 1500))
def test_the_total_length_is_exact(pair: tuple[int, int], count: int) -> None:
    assert len(resample(bytes(2 * count), *pair)) == expected_bytes(count, *pair)


@each_pair
def test_half_a_sample_at_the_end_is_dropped(from_hz: int, to_hz: int) -> None:
    stream = pcm16(tone(440, from_hz, 300))
    assert resample(stream + b"\x7f", from_hz, to_hz) == resample(stream, from_hz, to_hz)


@each_pair
def test_flush_makes_a_fresh_start(from_hz: int, to_hz: int) -> None:
    stream = pcm16(tone(440, from_hz, 301))
    resampler = Resampler(from_hz, to_hz)
    first = resampler.process(stream + b"\x01") + resampler.flush()
    assert resampler.process(stream) + resampler.flush() == first
    assert resampler.flush() == b""


@each_pair
def test_output_lags_by_the_stated_latency_and_no_more(from_hz: int, to_hz: int) -> None:
    """After n samples in, everything earlier than n minus the latency has come out."""
    resampler = Resampler(from_hz, to_hz)
    made = 0
    lags_ms = []
    for taken in range(1, 1000):
        made += len(resampler.process(b"\0\0")) // 2
        # The sample still owed belongs to this instant; the newest one heard is at taken - 1.
        lags_ms.append(((taken - 1) / from_hz - made / to_hz) * 1000)
    assert max(lags_ms) < resampler.latency_ms <= 4.25
    assert max(lags_ms) > resampler.latency_ms - 1000 / from_hz - 1e-9


@each_pair
@pytest.mark.parametrize("level", [-32768, -1, 1, 12345, 32767])
def test_a_constant_stays_that_constant(from_hz: int, to_hz: int, level: int) -> None:
    output = samples(resample(pcm16(np.full(600, level)), from_hz, to_hz))
    settled = output[len(output) // 4 : -len(output) // 4]
    assert set(settled) == {float(level)}


@each_pair
def test_a_tone_comes_out_in_place_and_at_its_level(from_hz: int, to_hz: int) -> None:
    """Sample by sample against the same tone computed at the new rate: no delay, no gain."""
    count = 4800
    for share_of_band in (0.03, 0.3, 0.6, 1.0):
        frequency_hz = share_of_band * 3400 * min(from_hz, to_hz) / 8000
        output = samples(resample(pcm16(tone(frequency_hz, from_hz, count)), from_hz, to_hz))
        ideal = tone(frequency_hz, to_hz, len(output))
        settled = slice(len(output) // 10, -len(output) // 10)
        assert np.abs(output - ideal)[settled].max() < 4, frequency_hz


def spurious_db(frequency_hz: float, from_hz: int, to_hz: int) -> float:
    """The strongest component that is not the tone itself, in relation to the tone put in."""
    count = from_hz // 2
    dither = np.random.default_rng(1).random(count) - 0.5
    stream = pcm16(tone(frequency_hz, from_hz, count) + dither)
    output = samples(resample(stream, from_hz, to_hz))
    output = output[len(output) // 5 : -len(output) // 5]
    if frequency_hz < to_hz / 2:
        angle = 2 * np.pi * frequency_hz * np.arange(len(output)) / to_hz
        wanted = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        output = output - wanted @ np.linalg.lstsq(wanted, output, rcond=None)[0]
    window = np.blackman(len(output))
    spectrum = np.abs(np.fft.rfft(output * window)) * 2 / window.sum()
    return float(20 * np.log10(spectrum.max() / AMPLITUDE))


@each_pair
def test_images_and_aliases_are_84_db_down_from_the_tone(from_hz: int, to_hz: int) -> None:
    frequencies = range(200, from_hz // 2, 200)
    assert max(spurious_db(frequency, from_hz, to_hz) for frequency in frequencies) < -84


@each_pair
def test_full_scale_clips_and_never_wraps(from_hz: int, to_hz: int) -> None:
    """A full-scale square wave overshoots behind any steep filter."""
    half_period = np.full(40 * from_hz // 8000, 32767.0)
    square = np.tile(np.concatenate([half_period, -half_period - 1]), 6)
    output = samples(resample(pcm16(square), from_hz, to_hz))
    centres = output[20 * to_hz // 8000 :: 40 * to_hz // 8000]
    assert (output.max(), output.min()) == (32767, -32768)
    assert list(np.sign(centres)) == [1, -1] * 6


@pytest.mark.parametrize("rate_hz", [16000, 24000])
def test_telephone_speech_survives_the_way_up_and_down(rate_hz: int, speech: bytes) -> None:
    """There and back is the low-pass twice, and nothing else: what changes lies above 3400 Hz."""
    there_and_back = resample(resample(speech, 8000, rate_hz), rate_hz, 8000)
    assert len(there_and_back) == len(speech)
    change = np.fft.rfft(samples(there_and_back) - samples(speech))
    voice = np.fft.rfft(samples(speech))
    in_band = np.fft.rfftfreq(len(speech) // 2, 1 / 8000) < 3400
    lost_db = 10 * np.log10(np.sum(np.abs(change[in_band]) ** 2) / np.sum(np.abs(voice) ** 2))
    assert lost_db < -50


@pytest.fixture
def speech(corpus: Path) -> bytes:
    return read_wav(corpus / "assistant" / "greeting.wav").pcm16()


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(8000, 8000), (8000, 48000), (0, 8000), (44100, 16000)]
)
def test_other_rates_are_refused(from_hz: int, to_hz: int) -> None:
    message = (
        f"from_hz is {from_hz} and to_hz is {to_hz},"
        " expected two different rates of 8000, 16000, 24000"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Resampler(from_hz, to_hz)
