import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodecs import Framer, base64_length, byte_count, duration_ms

chunkings = st.lists(st.binary(max_size=700), max_size=12)


@given(chunkings, st.integers(1, 500))
def test_frames_do_not_depend_on_the_chunking(chunks: list[bytes], frame_bytes: int) -> None:
    framer = Framer(frame_bytes)
    frames = [frame for chunk in chunks for frame in framer.push(chunk)]

    stream = b"".join(chunks)
    whole = len(stream) // frame_bytes * frame_bytes
    assert frames == [stream[i : i + frame_bytes] for i in range(0, whole, frame_bytes)]
    assert framer.pending == len(stream) - whole


@given(chunkings)
def test_flush_pads_what_is_left_to_one_frame(chunks: list[bytes]) -> None:
    framer = Framer(160)
    frames = [frame for chunk in chunks for frame in framer.push(chunk)]
    pending = framer.pending
    last = framer.flush()

    if pending == 0:
        assert last is None
    else:
        assert last is not None
        joined = b"".join([*frames, last])
        assert joined == b"".join(chunks) + b"\xff" * (160 - pending)
    assert framer.pending == 0


def test_each_frame_comes_as_soon_as_it_is_complete() -> None:
    framer = Framer()
    assert framer.push(b"a" * 159) == []
    assert framer.pending == 159
    assert framer.push(b"bc") == [b"a" * 159 + b"b"]
    assert framer.push(b"d" * 320) == [b"c" + b"d" * 159, b"d" * 160]
    assert framer.pending == 1


def test_a_framer_begins_anew_after_flush_and_clear() -> None:
    framer = Framer(4)
    framer.push(b"abcde")
    assert framer.flush(pad=b"\0") == b"e\0\0\0"
    assert framer.flush() is None
    framer.push(b"fg")
    framer.clear()
    assert framer.push(b"hijk") == [b"hijk"]


def test_a_frame_never_changes_with_the_buffer_it_came_from() -> None:
    """Sockets reuse their read buffers."""
    buffer = bytearray(b"abcd")
    framer = Framer(3)
    frames = framer.push(memoryview(buffer))
    buffer[:] = b"wxyz"
    assert (frames, framer.push(b"ef")) == ([b"abc"], [b"def"])


@pytest.mark.parametrize("frame_bytes", [0, -160])
def test_a_frame_has_at_least_one_byte(frame_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"frame_bytes is {frame_bytes}, expected 1 or more"):
        Framer(frame_bytes)


@pytest.mark.parametrize("pad", [b"", b"\0\0"])
def test_padding_is_one_byte_and_a_refusal_loses_nothing(pad: bytes) -> None:
    framer = Framer(4)
    framer.push(b"ab")
    with pytest.raises(ValueError, match=f"pad is {len(pad)} bytes long, expected one byte"):
        framer.flush(pad)
    assert framer.flush() == b"ab\xff\xff"


@given(st.binary(max_size=2000))
def test_base64_length_is_the_length_of_what_it_decodes_to(data: bytes) -> None:
    payload = base64.b64encode(data)
    assert base64_length(payload) == base64_length(payload.decode()) == len(data)


@pytest.mark.parametrize("payload", ["A", "AA", "AAA", "AAAAA", b"AA=", b"A" * 213], ids=len)
def test_a_length_that_base64_cannot_have_is_refused(payload: str | bytes) -> None:
    message = f"base64 is {len(payload)} characters long, expected a multiple of 4"
    with pytest.raises(ValueError, match=re.escape(message)):
        base64_length(payload)


@pytest.mark.parametrize(
    ("size", "rate_hz", "sample_bytes", "expected_ms"),
    [(160, 8000, 1, 20), (960, 24000, 2, 20), (7, 8000, 1, 0), (8, 8000, 1, 1), (0, 8000, 1, 0)],
    ids=["one G.711 frame", "one 24 kHz PCM16 frame", "under a millisecond", "just one", "nothing"],
)
def test_duration_rounds_down(size: int, rate_hz: int, sample_bytes: int, expected_ms: int) -> None:
    assert duration_ms(size, rate_hz, sample_bytes) == expected_ms


@given(st.integers(0, 10**7), st.sampled_from([8000, 16000, 24000]), st.sampled_from([1, 2, 4]))
def test_duration_undoes_byte_count(length_ms: int, rate_hz: int, sample_bytes: int) -> None:
    size = byte_count(length_ms, rate_hz, sample_bytes)
    assert size % sample_bytes == 0
    assert duration_ms(size, rate_hz, sample_bytes) == length_ms


def test_byte_count_holds_whole_samples_only() -> None:
    assert byte_count(1, rate_hz=11025, sample_bytes=2) == 22
