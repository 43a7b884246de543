"""The three audio formats of a Realtime session, as bytes. Knows no base64 and no socket."""

from __future__ import annotations

import enum

from audiocodecs import (
    SILENCE_ALAW,
    SILENCE_ULAW,
    Resampler,
    alaw_level_dbfs,
    level_dbfs,
    pcm16_to_alaw,
    ulaw_level_dbfs,
    ulaw_to_pcm16,
)

VAD_FRAME_MS = 20


class AudioFormat(enum.Enum):
    """The value is the name on the wire."""

    PCM = "audio/pcm"
    """PCM16, little endian, mono, 24 kHz."""
    PCMU = "audio/pcmu"
    """G.711 mu-law, 8 kHz."""
    PCMA = "audio/pcma"
    """G.711 A-law, 8 kHz."""

    @property
    def bytes_per_ms(self) -> int:
        return 48 if self is AudioFormat.PCM else 8

    @property
    def sample_bytes(self) -> int:
        return 2 if self is AudioFormat.PCM else 1

    def duration_ms(self, byte_count: int) -> int:
        return byte_count // self.bytes_per_ms

    def level_dbfs(self, audio: bytes) -> float:
        """RMS level of whole samples; digital silence is minus infinity."""
        match self:
            case AudioFormat.PCM:
                return level_dbfs(audio)
            case AudioFormat.PCMU:
                return ulaw_level_dbfs(audio)
            case AudioFormat.PCMA:
                return alaw_level_dbfs(audio)

    def from_ulaw(self, ulaw: bytes) -> bytes:
        """8 kHz mu-law in this format; the duration stays to the sample."""
        match self:
            case AudioFormat.PCM:
                resampler = Resampler(8000, 24000)
                return resampler.process(ulaw_to_pcm16(ulaw)) + resampler.flush()
            case AudioFormat.PCMU:
                return ulaw
            case AudioFormat.PCMA:
                return pcm16_to_alaw(ulaw_to_pcm16(ulaw))

    def silence(self, duration_ms: int) -> bytes:
        match self:
            case AudioFormat.PCM:
                return bytes(duration_ms * self.bytes_per_ms)
            case AudioFormat.PCMU:
                return bytes([SILENCE_ULAW]) * (duration_ms * self.bytes_per_ms)
            case AudioFormat.PCMA:
                return bytes([SILENCE_ALAW]) * (duration_ms * self.bytes_per_ms)

    def to_wire(self) -> dict[str, object]:
        """The ``format`` object of a session; only PCM carries its rate."""
        if self is AudioFormat.PCM:
            return {"type": self.value, "rate": 24000}
        return {"type": self.value}
