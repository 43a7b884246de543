from __future__ import annotations

import random
from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st

from loadtest.realtime.delivery import deltas, pieces
from loadtest.realtime.formats import AudioFormat


@given(
    st.binary(max_size=40_000), st.text(max_size=200), st.sampled_from(AudioFormat), st.integers()
)
def test_deltas_join_up_to_the_audio_and_the_text(
    audio: bytes, text: str, audio_format: AudioFormat, seed: int
) -> None:
    audio = audio[: len(audio) // audio_format.sample_bytes * audio_format.sample_bytes]
    made = list(deltas(audio, text, audio_format, random.Random(seed)))
    assert b"".join(b64decode(delta.audio) for delta in made) == audio
    assert "".join(delta.transcript for delta in made) == (text if audio else "")
    assert [delta.byte_count for delta in made] == [len(b64decode(delta.audio)) for delta in made]


@given(st.sampled_from(AudioFormat), st.integers())
def test_sizes_are_irregular_and_no_multiples_of_a_frame(
    audio_format: AudioFormat, seed: int
) -> None:
    audio = audio_format.silence(20_000)
    sizes = [d.byte_count for d in deltas(audio, "", audio_format, random.Random(seed))][:-1]
    assert all(50 <= size / audio_format.bytes_per_ms <= 401 for size in sizes)
    assert all(size % 160 for size in sizes)
    assert all(size % audio_format.sample_bytes == 0 for size in sizes)
    assert len(set(sizes)) > len(sizes) // 2


def test_the_transcript_runs_ahead_of_the_audio() -> None:
    words = " ".join(["word"] * 100)
    made = list(deltas(bytes(80_000), words, AudioFormat.PCMU, random.Random(0)))
    half = made[: len(made) // 2]
    said = sum(len(delta.transcript) for delta in half) / len(words)
    played = sum(delta.byte_count for delta in half) / 80_000
    assert said > 1.4 * played


@given(st.text(max_size=300), st.integers())
def test_pieces_join_up_to_the_text(text: str, seed: int) -> None:
    assert "".join(pieces(text, random.Random(seed))) == text
