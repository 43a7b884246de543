from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench import stamp
from loadtest.bench.stamp import Stamp

numbers = st.integers(0, 2**32 - 1)
times = st.integers(0, 2**63 - 1)
stamps = st.builds(Stamp, numbers, numbers, times)


def frame(mark: Stamp) -> bytes:
    head = stamp.encode(stamp.UPLINK, *mark)
    return head + stamp.tail_of(stamp.FRAME_BYTES)


@given(stamps)
def test_a_frame_is_20_ms_of_audio_that_carries_its_stamp(mark: Stamp) -> None:
    payload = frame(mark).decode()
    assert len(payload) == stamp.FRAME_CHARS
    assert len(base64.b64decode(payload, validate=True)) == 160
    assert stamp.decode(stamp.UPLINK, payload) == mark
    assert stamp.decode_frames(payload) == [mark]


@given(st.lists(stamps, min_size=1, max_size=6))
def test_frames_joined_into_one_append_are_all_found_in_order(marks: list[Stamp]) -> None:
    audio = b"".join(base64.b64decode(frame(mark)) for mark in marks)
    assert stamp.decode_frames(base64.b64encode(audio).decode()) == marks


@given(st.text(max_size=400) | st.binary(max_size=400).map(lambda b: base64.b64encode(b).decode()))
def test_what_was_never_stamped_has_no_stamp(payload: str) -> None:
    assert stamp.decode(stamp.UPLINK, payload) is None
    assert stamp.decode_frames(payload) is None


def test_the_stamp_of_one_direction_is_none_in_the_other() -> None:
    payload = frame(Stamp(1, 2, 3)).decode()
    assert stamp.decode(stamp.DOWNLINK, payload) is None


@given(st.binary(max_size=500))
def test_the_length_of_audio_is_known_without_decoding(audio: bytes) -> None:
    assert stamp.audio_bytes(base64.b64encode(audio).decode()) == len(audio)


def test_a_block_shorter_than_its_stamp_is_refused() -> None:
    with pytest.raises(ValueError, match="block_bytes is 20, expected at least 21"):
        stamp.tail_of(20)
