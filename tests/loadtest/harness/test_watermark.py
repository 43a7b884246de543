"""Numbers in the audio: read back from any cut of it, inaudible, not found where there are none."""

from __future__ import annotations

import binascii
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness import watermark
from loadtest.harness.framereader import FrameReader
from loadtest.harness.watermark import DOWNLINK, NUMBER_LIMIT, UPLINK, Blank
from loadtest.twilio.audio import Frame

numbers = st.integers(0, NUMBER_LIMIT - 1)
frames = st.binary(min_size=160, max_size=160)


@given(frames, numbers, numbers)
def test_a_marked_frame_is_read_back_and_differs_by_the_lowest_bits_only(
    ulaw: bytes, stream: int, number: int
) -> None:
    mark = watermark.word(UPLINK, stream, number)
    marked = binascii.a2b_base64(Blank.of(Frame.of(ulaw)).marked(mark))
    assert watermark.read(UPLINK, marked) == (stream, number)
    assert [code >> 1 for code in marked] == [code >> 1 for code in ulaw]
    assert marked[48:] == ulaw[48:]


@given(st.binary(min_size=320, max_size=900), numbers, numbers)
def test_marks_made_at_once_are_those_made_one_by_one(ulaw: bytes, stream: int, first: int) -> None:
    marked = watermark.mark_all(DOWNLINK, stream, first, ulaw)
    assert len(marked) == len(ulaw)
    for index in range(len(ulaw) // 160):
        expected = (stream, (first + index) % NUMBER_LIMIT)
        assert watermark.read(DOWNLINK, marked[index * 160 :]) == expected


@pytest.mark.parametrize("silence", [b"\x00", b"\xff", b"\x7f"])
def test_silence_has_no_marks(silence: bytes) -> None:
    assert watermark.read(UPLINK, silence * 160) is None
    assert list(watermark.find(UPLINK, silence * 2000)) == []


def test_a_mark_of_one_direction_is_none_of_the_other() -> None:
    marked = watermark.mark_all(DOWNLINK, 5, 0, b"\xff" * 160)
    assert watermark.read(UPLINK, marked) is None


@given(
    pieces=st.lists(st.integers(1, 700), min_size=1, max_size=30),
    before=st.integers(0, 500),
    seed=st.integers(0, 1000),
)
def test_every_frame_is_found_once_however_the_audio_is_cut(
    pieces: list[int], before: int, seed: int
) -> None:
    noise = random.Random(seed).randbytes(before)
    audio = noise + watermark.mark_all(DOWNLINK, 9, 0, b"\xff" * 1600)
    found: list[tuple[int, int]] = []
    position = 0

    def note(stream: int, frame: int, offset: int) -> None:
        assert stream == 9
        found.append((frame, position + offset))

    reader = FrameReader(DOWNLINK, lambda stream, frame: stream == 9 and frame < 10, note)
    for size in (*pieces, len(audio)):
        piece = audio[position : position + size]
        if piece:
            reader.read(piece)
        position += len(piece)
    assert found == [(frame, before + frame * 160) for frame in range(10)]


def test_lost_frames_leave_the_others_readable() -> None:
    audio = watermark.mark_all(UPLINK, 1, 0, b"\xff" * 800)
    found: list[int] = []
    reader = FrameReader(UPLINK, lambda *_: True, lambda _, frame, __: found.append(frame))
    reader.read(audio[:160] + audio[320:])
    assert found == [0, 2, 3, 4]


def test_a_mark_whose_head_was_lost_is_not_taken_for_another() -> None:
    """Read some codes too late, one in so many passes for that of an early stream's early frame."""
    noise = random.Random(5).randbytes(160 * 64)
    audio = watermark.mark_all(DOWNLINK, 0, 0, noise)
    wrong: list[int] = []
    for cut in range(0, 30 * 160, 3):
        found: list[int] = []
        reader = FrameReader(
            DOWNLINK,
            lambda stream, frame: stream == 0 and frame < 64,
            lambda _, frame, __: found.append(frame),  # noqa: B023 - read before the next
        )
        reader.read(audio[cut : cut + 3 * 160])
        whole = range(-(-cut // 160), (cut + 3 * 160) // 160)
        wrong += [cut] * (found != list(whole))
    assert wrong == []


def test_audio_made_anew_is_given_up_after_a_minute() -> None:
    reader = FrameReader(UPLINK, lambda *_: False, lambda *_: None)
    for _ in range(61 * 50):
        reader.read(b"\xff" * 160)
    assert reader.unreadable
