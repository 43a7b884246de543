"""Telephone audio: G.711, resampling, framing, levels. Knows no socket, no clock and no JSON."""

from .framing import (
    FRAME_MS,
    ULAW_FRAME_BYTES,
    Framer,
    base64_length,
    byte_count,
    duration_ms,
)
from .g711 import (
    SILENCE_ALAW,
    SILENCE_ULAW,
    alaw_to_pcm16,
    alaw_to_ulaw,
    pcm16_to_alaw,
    pcm16_to_ulaw,
    ulaw_to_alaw,
    ulaw_to_pcm16,
)
from .levels import alaw_level_dbfs, level_dbfs, ulaw_level_dbfs
from .resampling import RATES_HZ, Resampler
from .wav import (
    Encoding,
    WavAudio,
    WavError,
    decode_wav,
    encode_wav,
    read_wav,
    stereo,
    write_wav,
)

__all__ = [
    "FRAME_MS",
    "RATES_HZ",
    "SILENCE_ALAW",
    "SILENCE_ULAW",
    "ULAW_FRAME_BYTES",
    "Encoding",
    "Framer",
    "Resampler",
    "WavAudio",
    "WavError",
    "alaw_level_dbfs",
    "alaw_to_pcm16",
    "alaw_to_ulaw",
    "base64_length",
    "byte_count",
    "decode_wav",
    "duration_ms",
    "encode_wav",
    "level_dbfs",
    "pcm16_to_alaw",
    "pcm16_to_ulaw",
    "read_wav",
    "stereo",
    "ulaw_level_dbfs",
    "ulaw_to_alaw",
    "ulaw_to_pcm16",
    "write_wav",
]
