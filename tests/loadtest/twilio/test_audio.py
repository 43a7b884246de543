"""Where the speech in a recording begins and ends, with and without noise under it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import audiocodecs
from loadtest.corpus import Corpus
from loadtest.twilio.audio import AUDIBLE_DBFS, Clip
from tests.loadtest.twilio.conftest import silence, tone

FULL = Path(__file__).parents[4] / "shared" / "corpus"


def noise(length_ms: int, dbfs: float) -> bytes:
    wave = np.random.default_rng(1).standard_normal(length_ms * 8) * 32768 * 10 ** (dbfs / 20)
    return audiocodecs.pcm16_to_ulaw(np.rint(wave).astype("<i2").tobytes())


def words(count: int) -> bytes:
    """Syllables that swell and fade, with nothing between them."""
    swell = np.sin(np.pi * np.arange(1600) / 1600) ** 2
    wave = np.sin(2 * np.pi * 300 * np.arange(1600) / 8000) * swell * 12000
    return audiocodecs.pcm16_to_ulaw(wave.astype("<i2").tobytes()) * count


@pytest.mark.parametrize("dbfs", [-55, -50, -45, -35])
def test_background_noise_neither_begins_nor_ends_what_is_said(dbfs: float) -> None:
    clip = Clip.of(noise(600, dbfs) + tone(1500) + noise(1500, dbfs))
    assert clip.speech == (30, 104)


def test_noise_in_a_recording_that_is_mostly_dead_is_found_all_the_same() -> None:
    said = noise(400, -45) + tone(1000) + noise(400, -45)
    assert Clip.of(silence(5000) + said + silence(5000)).speech == (270, 319)


@pytest.mark.parametrize(
    ("ulaw", "speech"),
    [
        (tone(500), (0, 24)),
        (words(5), (0, 49)),
        (silence(5000) + words(3) + silence(200), (250, 279)),
        (tone(40) + silence(5000), (0, 1)),
    ],
    ids=["a tone", "speech from end to end", "dead silence around it", "two frames"],
)
def test_a_recording_without_noise_is_taken_as_it_was(ulaw: bytes, speech: tuple[int, int]) -> None:
    clip = Clip.of(ulaw)
    assert clip.audible_dbfs == AUDIBLE_DBFS
    first, last = clip.speech or (-1, -1)
    assert abs(first - speech[0]) <= 1
    assert abs(last - speech[1]) <= 1


@pytest.mark.skipif(not (FULL / "calls.jsonl").exists(), reason="the full corpus is not here")
def test_calls_on_noisy_lines_have_quiet_edges_too() -> None:
    corpus = Corpus(FULL)
    noisy = [
        call.clip(turn)
        for call in corpus.calls
        for turn in range(1, len(call.turns) + 1)
        if call.snr_db is not None
    ]
    to_the_edge = [clip for clip in noisy if clip.speech == (0, len(clip.frames) - 1)]
    assert len(noisy) > 100
    assert len(to_the_edge) < len(noisy) / 4
