"""Against the recommendation: tables 1a and 2a of G.711, written out from their segments."""

import struct
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodecs import (
    SILENCE_ALAW,
    SILENCE_ULAW,
    alaw_to_pcm16,
    alaw_to_ulaw,
    pcm16_to_alaw,
    pcm16_to_ulaw,
    ulaw_to_alaw,
    ulaw_to_pcm16,
)

Convert = Callable[[bytes], bytes]
EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = range(-32768, 32768)


def pcm16(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def samples(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 2}h", data))


# Decision values x(n): where the nth interval of the magnitude begins.
ULAW_DECISIONS = list(
    # 14 bits: 0 to 1, 15 intervals of 2, then 7 segments of 16 intervals, each twice as wide.
    accumulate([0, 1, *[2] * 15, *(2 << segment for segment in range(1, 8) for _ in range(16))])
)
ALAW_DECISIONS = list(
    # 13 bits: 32 intervals of 2, then 6 segments of 16 intervals, each twice as wide.
    accumulate([0, *[2] * 32, *(2 << segment for segment in range(1, 7) for _ in range(16))])
)


def middle_of_interval(decisions: list[int], number: int) -> int:
    return (decisions[number] + decisions[number + 1]) // 2


def reference_ulaw_decode(code: int) -> int:
    """All bits of the code are inverted; sign 1 is positive; the first output value is 0."""
    number = ~code & 0x7F
    magnitude = middle_of_interval(ULAW_DECISIONS, number) * 4 if number else 0
    return magnitude if code & 0x80 else -magnitude


def reference_alaw_decode(code: int) -> int:
    """The even bits of the code are inverted; sign 1 is positive."""
    magnitude = middle_of_interval(ALAW_DECISIONS, (code ^ 0x55) & 0x7F) * 8
    return magnitude if code & 0x80 else -magnitude


def reference_ulaw_encode(sample: int) -> int:
    value = sample >> 2
    number = min(127, bisect_right(ULAW_DECISIONS, abs(value)) - 1)
    return (0xFF if value >= 0 else 0x7F) ^ number


def reference_alaw_encode(sample: int) -> int:
    value = sample >> 3
    magnitude = value if value >= 0 else -value - 1
    number = bisect_right(ALAW_DECISIONS, magnitude) - 1
    return (0xD5 if value >= 0 else 0x55) ^ number


def test_the_reference_tables_end_where_the_recommendation_says() -> None:
    assert (len(ULAW_DECISIONS), ULAW_DECISIONS[-1]) == (129, 8159)
    assert (len(ALAW_DECISIONS), ALAW_DECISIONS[-1]) == (129, 4096)


def test_every_ulaw_code_decodes_to_the_value_of_the_recommendation() -> None:
    assert samples(ulaw_to_pcm16(EVERY_CODE)) == [reference_ulaw_decode(c) for c in EVERY_CODE]


def test_every_alaw_code_decodes_to_the_value_of_the_recommendation() -> None:
    assert samples(alaw_to_pcm16(EVERY_CODE)) == [reference_alaw_decode(c) for c in EVERY_CODE]


def test_every_sample_encodes_to_the_ulaw_code_of_its_interval() -> None:
    assert list(pcm16_to_ulaw(pcm16(*EVERY_SAMPLE))) == [
        reference_ulaw_encode(sample) for sample in EVERY_SAMPLE
    ]


def test_every_sample_encodes_to_the_alaw_code_of_its_interval() -> None:
    assert list(pcm16_to_alaw(pcm16(*EVERY_SAMPLE))) == [
        reference_alaw_encode(sample) for sample in EVERY_SAMPLE
    ]


def test_ulaw_survives_pcm16_except_the_second_zero() -> None:
    expected = EVERY_CODE.replace(b"\x7f", b"\xff")
    assert pcm16_to_ulaw(ulaw_to_pcm16(EVERY_CODE)) == expected


def test_alaw_survives_pcm16() -> None:
    assert pcm16_to_alaw(alaw_to_pcm16(EVERY_CODE)) == EVERY_CODE


def test_silence_is_the_code_of_zero() -> None:
    assert pcm16_to_ulaw(pcm16(0)) == bytes([SILENCE_ULAW])
    assert pcm16_to_alaw(pcm16(0)) == bytes([SILENCE_ALAW])


@pytest.mark.parametrize(
    ("convert", "decode", "encode"),
    [
        (ulaw_to_alaw, reference_ulaw_decode, reference_alaw_encode),
        (alaw_to_ulaw, reference_alaw_decode, reference_ulaw_encode),
    ],
    ids=["ulaw_to_alaw", "alaw_to_ulaw"],
)
def test_the_other_law_gets_the_code_of_the_same_linear_value(
    convert: Convert, decode: Callable[[int], int], encode: Callable[[int], int]
) -> None:
    assert list(convert(EVERY_CODE)) == [encode(decode(code)) for code in EVERY_CODE]


@pytest.mark.parametrize("encode", [pcm16_to_ulaw, pcm16_to_alaw])
def test_half_a_sample_is_refused(encode: Convert) -> None:
    with pytest.raises(ValueError, match="pcm16 is 3 bytes long, expected whole samples of 2 byte"):
        encode(b"\x00\x00\x00")


@given(st.binary(max_size=400))
def test_any_kind_of_bytes_gives_the_same(data: bytes) -> None:
    assert ulaw_to_pcm16(memoryview(data)) == ulaw_to_pcm16(bytearray(data)) == ulaw_to_pcm16(data)
    assert alaw_to_ulaw(memoryview(data)) == alaw_to_ulaw(data)


RAW = {"ulaw": ("-e", "mu-law", "-b", "8"), "alaw": ("-e", "a-law", "-b", "8")}
RAW_PCM16 = ("-e", "signed-integer", "-b", "16", "-L")
DECODE = {"ulaw": ulaw_to_pcm16, "alaw": alaw_to_pcm16}
ENCODE = {"ulaw": pcm16_to_ulaw, "alaw": pcm16_to_alaw}


@pytest.mark.parametrize("law", RAW)
def test_sox_decodes_every_code_alike(law: str, sox: Callable[..., bytes]) -> None:
    raw = ("-t", "raw", "-r", "8000", "-c", "1")
    decoded = sox("-D", *raw, *RAW[law], "-", *raw, *RAW_PCM16, "-", stdin=EVERY_CODE)
    assert DECODE[law](EVERY_CODE) == decoded


@pytest.mark.parametrize("law", RAW)
def test_sox_encodes_alike_where_16_bits_have_no_more_than_the_law(
    law: str, sox: Callable[..., bytes]
) -> None:
    """sox rounds 16 bits to 14 or 13, we cut: values that need neither must agree."""
    raw = ("-t", "raw", "-r", "8000", "-c", "1")
    # Loudest samples aside: rounding makes sox clip them first.
    data = pcm16(*range(-32760, 32760, 8))
    encoded = sox("-D", *raw, *RAW_PCM16, "-", *raw, *RAW[law], "-", stdin=data)
    assert ENCODE[law](data) == encoded


def test_importing_raises_no_warning() -> None:
    """audioop is deprecated in 3.11 and 3.12; whoever runs with -W error must not pay for it."""
    import_it = [sys.executable, "-W", "error", "-c", "import audiocodecs"]
    paths = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(import_it, capture_output=True, env=paths, timeout=30, check=False)  # noqa: S603
    assert (done.returncode, done.stderr.decode()) == (0, "")
