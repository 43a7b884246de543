"""WAV files byte by byte against the format's description, and against sox and the stdlib."""

import io
import re
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audiocodecs import (
    Encoding,
    WavAudio,
    WavError,
    decode_wav,
    encode_wav,
    read_wav,
    stereo,
    ulaw_to_alaw,
    ulaw_to_pcm16,
    write_wav,
)

Sox = Callable[..., bytes]
SPEECH_LIKE = bytes(range(256)) * 4


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fmt(tag: int = 7, channels: int = 1, rate_hz: int = 8000, bits: int = 8) -> bytes:
    align = channels * bits // 8
    body = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * align, align, bits)
    return chunk(b"fmt ", body)


def extensible(subformat: bytes, channels: int, bits: int) -> bytes:
    align = channels * bits // 8
    body = struct.pack("<HHIIHH", 0xFFFE, channels, 8000, 8000 * align, align, bits)
    return chunk(b"fmt ", body + struct.pack("<HHI", 22, bits, 0x3) + subformat)


def guid(tag: int) -> bytes:
    """KSDATAFORMAT_SUBTYPE_*: {0000tttt-0000-0010-8000-00AA00389B71}, stored little endian."""
    return struct.pack("<IHH", tag, 0, 0x10) + bytes.fromhex("800000AA00389B71")


ABCD = chunk(b"data", b"abcd")
NO_DATA = chunk(b"data", b"")


@st.composite
def audios(draw: st.DrawFn) -> WavAudio:
    encoding = draw(st.sampled_from(Encoding))
    channels = draw(st.sampled_from([1, 2]))
    data = draw(st.binary(max_size=300))
    whole = len(data) - len(data) % (encoding.sample_bytes * channels)
    rate_hz = draw(st.sampled_from([8000, 16000, 24000, 44100]))
    return WavAudio(data[:whole], encoding, rate_hz, channels)


@given(audios())
def test_what_is_written_is_read_back(audio: WavAudio) -> None:
    assert decode_wav(encode_wav(audio)) == audio


def test_ulaw_has_an_extension_size_a_fact_chunk_and_even_padding() -> None:
    expected = (
        b"RIFF" + struct.pack("<I", 54) + b"WAVE"
        b"fmt " + struct.pack("<IHHIIHHH", 18, 7, 1, 8000, 8000, 1, 8, 0) +
        b"fact" + struct.pack("<II", 4, 3) +
        b"data" + struct.pack("<I", 3) + b"abc\0"
    )  # fmt: skip
    assert encode_wav(WavAudio(b"abc")) == expected


def test_stereo_alaw_counts_samples_per_channel() -> None:
    expected = (
        b"RIFF" + struct.pack("<I", 54) + b"WAVE"
        b"fmt " + struct.pack("<IHHIIHHH", 18, 6, 2, 8000, 16000, 2, 8, 0) +
        b"fact" + struct.pack("<II", 4, 2) +
        b"data" + struct.pack("<I", 4) + b"abcd"
    )  # fmt: skip
    assert encode_wav(WavAudio(b"abcd", Encoding.ALAW, channels=2)) == expected


@given(audios().filter(lambda audio: audio.encoding is Encoding.PCM16))
def test_the_standard_library_reads_and_writes_the_same_pcm16(audio: WavAudio) -> None:
    with wave.open(io.BytesIO(encode_wav(audio))) as reader:
        assert reader.getparams()[:4] == (audio.channels, 2, audio.rate_hz, audio.frame_count)
        assert reader.readframes(audio.frame_count) == audio.data
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((audio.channels, 2, audio.rate_hz, 0, "NONE", ""))
        writer.writeframes(audio.data)
    assert file.getvalue() == encode_wav(audio)


def test_paths_and_open_files_are_the_same(tmp_path: Path) -> None:
    audio = WavAudio(SPEECH_LIKE)
    path = tmp_path / "call.wav"
    write_wav(path, audio)
    buffer = io.BytesIO()
    write_wav(buffer, audio)
    assert path.read_bytes() == buffer.getvalue() == encode_wav(audio)
    buffer.seek(0)
    assert read_wav(path) == read_wav(str(path)) == read_wav(buffer) == audio
    with path.open("rb") as file:
        assert read_wav(file) == audio


@pytest.mark.parametrize(
    "blob",
    [
        riff(chunk(b"LIST", b"INFOISFT"), fmt(), chunk(b"bext", b"odd"), ABCD),
        riff(ABCD, fmt()),
        riff(fmt(), ABCD, chunk(b"id3 ", b"later")),
        riff(fmt(), ABCD, chunk(b"data", b"later")),
        riff(fmt(), b"note\x03\0\0\0odd" + ABCD),
        b"RIFF\0\0\0\0" + riff(fmt(), ABCD)[8:],
        riff(fmt(), b"data\xff\xff\xff\xffabcd"),
        riff(fmt(), chunk(b"data", b"abcd and more"))[: -len(" and more") - 1],
        riff(fmt(), ABCD, b"LI"),
        riff(extensible(guid(7), channels=1, bits=8), ABCD),
    ],
    ids=[
        "chunks before and between",
        "data before fmt",
        "chunk after the data",
        "two data chunks: the first counts",
        "odd chunk without its padding",
        "size of the file never filled in",
        "size of the data never filled in",
        "cut off in the data",
        "stray bytes at the end",
        "extensible",
    ],
)
def test_unusual_files_are_read(blob: bytes) -> None:
    assert decode_wav(blob) == WavAudio(b"abcd")


@pytest.mark.parametrize(
    ("encoding", "bits"), [(Encoding.PCM16, 16), (Encoding.ALAW, 8), (Encoding.ULAW, 8)]
)
def test_extensible_says_in_its_sub_format_what_it_is(encoding: Encoding, bits: int) -> None:
    blob = riff(extensible(guid(encoding), channels=2, bits=bits), chunk(b"data", b"abcdefgh"))
    assert decode_wav(blob) == WavAudio(b"abcdefgh", encoding, 8000, 2)


@pytest.mark.parametrize(
    ("size", "missing"),
    [(4, 0), (400, 396), (2**31 - 1 - 36, 0), (2**32 - 1, 0)],
    ids=["whole", "cut", "2 GiB for unknown", "4 GiB for unknown"],
)
def test_what_the_file_announced_and_does_not_hold_is_counted(size: int, missing: int) -> None:
    audio = decode_wav(riff(fmt(), b"data" + struct.pack("<I", size) + b"abcd"))
    assert (audio.data, audio.missing_bytes) == (b"abcd", missing)


def test_a_last_half_frame_is_dropped() -> None:
    blob = riff(fmt(tag=1, channels=2, bits=16), chunk(b"data", b"abcdefg"))
    assert decode_wav(blob) == WavAudio(b"abcd", Encoding.PCM16, 8000, 2)


OTHER_GUID = bytes.fromhex("0100000021071114B2B4B0F0F0F0F0F0")
BLOCK_ALIGN_1 = struct.pack("<HHIIHH", 7, 2, 8000, 8000, 1, 8)


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"", "begins with b'', expected RIFF....WAVE"),
        (b"ID3\x04" + bytes(20), r"begins with b'ID3\x04"),
        (riff(fmt())[:10], "expected RIFF....WAVE"),
        (b"RIFX" + riff(fmt())[4:], "begins with b'RIFX"),
        (riff(), "has the chunks [], expected b'fmt ' and b'data' among them"),
        (riff(fmt()), "has the chunks [b'fmt '], expected b'fmt ' and b'data' among them"),
        (riff(NO_DATA), "has the chunks [b'data'], expected b'fmt ' and b'data' among them"),
        (riff(chunk(b"fmt ", b"short"), NO_DATA), "fmt chunk is 5 bytes long, expected 16"),
        (riff(fmt(tag=3, bits=32), NO_DATA), "tag is 0x0003 (IEEE float), expected 1 PCM"),
        (riff(fmt(tag=99), NO_DATA), "format tag is 0x0063 (unknown here), expected"),
        (riff(fmt(tag=1, bits=24), NO_DATA), "PCM with 24 bits a sample, expected 16"),
        (riff(fmt(tag=1, bits=8), NO_DATA), "PCM with 8 bits a sample, expected 16"),
        (riff(fmt(channels=6), NO_DATA), "channels is 6, expected 1 or 2"),
        (riff(fmt(channels=0), NO_DATA), "channels is 0, expected 1 or 2"),
        (riff(fmt(rate_hz=0), NO_DATA), "rate_hz is 0, expected a sample rate"),
        (
            riff(chunk(b"fmt ", BLOCK_ALIGN_1), NO_DATA),
            "block align is 1, expected 2 for 2 channels of ULAW",
        ),
        (
            riff(extensible(OTHER_GUID, channels=1, bits=8), NO_DATA),
            "format tag is 0xfffe (extensible, unknown sub-format), expected",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unreadable_files_say_what_came_and_what_was_expected(blob: bytes, message: str) -> None:
    with pytest.raises(WavError, match=re.escape(message)):
        decode_wav(blob)


def test_the_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_text("hello")
    message = f"{path}: begins with b'hello', expected RIFF....WAVE"
    with pytest.raises(WavError, match=re.escape(message)):
        read_wav(path)
    with path.open("rb") as file, pytest.raises(WavError, match=re.escape(message)):
        read_wav(file)
    with pytest.raises(WavError, match=r"WAV data: begins with b'', expected"):
        read_wav(io.BytesIO())
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "absent.wav")


A_FILE = riff(fmt(), chunk(b"fact", b"\4\0\0\0"), ABCD)


@given(st.binary(max_size=100))
@example(b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff")
def test_arbitrary_bytes_are_audio_or_a_wav_error(tail: bytes) -> None:
    for blob in (tail, A_FILE[:12] + tail, A_FILE[:36] + tail):
        try:
            decode_wav(blob)
        except WavError:
            continue


@given(st.integers(0, len(A_FILE) - 1), st.integers(0, 255), st.integers(0, len(A_FILE)))
def test_damaged_files_are_audio_or_a_wav_error(place: int, value: int, end: int) -> None:
    blob = bytearray(A_FILE)
    blob[place] = value
    try:
        decode_wav(bytes(blob[:end]))
    except WavError:
        return


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (lambda: WavAudio(b"", channels=3), "channels is 3, expected 1 or 2"),
        (lambda: WavAudio(b"", rate_hz=-1), "rate_hz is -1, expected a sample rate"),
        (lambda: WavAudio(b"abc", channels=2), "data is 3 bytes long, expected a multiple of 2"),
        (lambda: WavAudio(b"a", Encoding.PCM16), "data is 1 bytes long, expected a multiple of 2"),
    ],
    ids=["channels", "rate", "half a frame", "half a sample"],
)
def test_impossible_audio_is_refused(audio: Callable[[], WavAudio], message: str) -> None:
    with pytest.raises(WavError, match=message):
        audio()


def test_audio_knows_its_length() -> None:
    audio = WavAudio(bytes(64000), Encoding.PCM16, 8000, channels=2)
    assert (audio.frame_bytes, audio.frame_count, audio.duration_ms) == (4, 16000, 2000)


def test_audio_never_shows_in_its_representation() -> None:
    shown = "WavAudio(encoding=<Encoding.ULAW: 7>, rate_hz=8000, channels=1)"
    assert repr(WavAudio(b"spoken words")) == shown


def test_audio_converts_to_pcm16_and_ulaw() -> None:
    ulaw = bytes(range(128, 256))
    as_ulaw = WavAudio(ulaw)
    as_pcm16 = WavAudio(ulaw_to_pcm16(ulaw), Encoding.PCM16)
    as_alaw = WavAudio(b"\xd5\x55", Encoding.ALAW)
    assert (as_ulaw.pcm16(), as_ulaw.ulaw()) == (as_pcm16.data, ulaw)
    assert (as_pcm16.pcm16(), as_pcm16.ulaw()) == (as_pcm16.data, ulaw)
    assert (as_alaw.pcm16(), as_alaw.ulaw()) == (b"\x08\0\xf8\xff", b"\xfe\x7e")
    assert ulaw_to_alaw(as_alaw.ulaw()) == as_alaw.data


@given(audios(), audios())
def test_stereo_keeps_both_sides_and_fills_up_with_silence(left: WavAudio, right: WavAudio) -> None:
    left = WavAudio(left.channel(0), left.encoding)
    right = WavAudio(right.data, left.encoding) if len(right.data) % 2 == 0 else left
    both = stereo(left, right)
    silence = {Encoding.PCM16: b"\0\0", Encoding.ULAW: b"\xff", Encoding.ALAW: b"\xd5"}
    for side, audio in enumerate((left, right)):
        missing = both.frame_count - audio.frame_count
        assert both.channel(side) == audio.data + silence[left.encoding] * missing
    assert both.frame_count == max(left.frame_count, right.frame_count)


def test_stereo_wants_two_mono_recordings_alike() -> None:
    message = (
        "left is ULAW 8000 Hz with 1 channels, right is PCM16 8000 Hz with 1 channels:"
        " expected mono alike"
    )
    with pytest.raises(WavError, match=message):
        stereo(WavAudio(b""), WavAudio(b"", Encoding.PCM16))
    with pytest.raises(WavError, match="expected mono alike"):
        stereo(WavAudio(b"", channels=2), WavAudio(b"", channels=2))


def test_mono_has_no_right_channel() -> None:
    with pytest.raises(IndexError, match="channel 1 of 1"):
        WavAudio(b"ab").channel(1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("encoding", "sox_name"),
    [
        (Encoding.PCM16, "Signed Integer PCM"),
        (Encoding.ULAW, "u-law"),
        (Encoding.ALAW, "A-law"),
    ],
)
def test_sox_reads_our_files(
    encoding: Encoding, sox_name: str, channels: int, tmp_path: Path, sox: Sox
) -> None:
    audio = WavAudio(SPEECH_LIKE, encoding, 8000, channels)
    path = tmp_path / "ours.wav"
    write_wav(path, audio)
    known = [sox(flag, path, program="soxi").decode().strip() for flag in ("-r", "-c", "-s", "-e")]
    assert known == ["8000", str(channels), str(audio.frame_count), sox_name]
    raw = ("-t", "raw", "-e", "signed-integer", "-b", "16", "-L")
    assert sox("-D", path, *raw, "-") == audio.pcm16()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
@pytest.mark.parametrize(
    ("encoding", "flags"),
    [
        (Encoding.PCM16, ("-e", "signed-integer", "-b", "16")),
        (Encoding.ULAW, ("-e", "mu-law", "-b", "8")),
        (Encoding.ALAW, ("-e", "a-law", "-b", "8")),
    ],
    ids=lambda value: value.name if isinstance(value, Encoding) else "",
)
def test_we_read_the_files_of_sox(
    encoding: Encoding, flags: tuple[str, ...], channels: int, pipe: bool, tmp_path: Path, sox: Sox
) -> None:
    """Through a pipe sox cannot go back to fill in the sizes."""
    raw = ("-t", "raw", "-r", "8000", "-c", str(channels), *flags)
    data = SPEECH_LIKE.replace(b"\x7f", b"\xff")
    if pipe:
        written = io.BytesIO(sox("-D", *raw, "-", "-t", "wav", "-", stdin=data))
        assert read_wav(written) == WavAudio(data, encoding, 8000, channels)
    else:
        sox("-D", *raw, "-", tmp_path / "theirs.wav", stdin=data)
        assert read_wav(tmp_path / "theirs.wav") == WavAudio(data, encoding, 8000, channels)


def test_every_recording_of_the_corpus_is_readable(corpus: Path) -> None:
    recordings = sorted(corpus.glob("*/*.wav"))
    assert recordings
    for path in recordings:
        audio = read_wav(path)
        assert (audio.encoding, audio.rate_hz, audio.channels) == (Encoding.ULAW, 8000, 1), path
        assert encode_wav(audio) == path.read_bytes(), path
