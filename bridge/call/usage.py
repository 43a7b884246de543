"""What a call used: tokens by kind, audio seconds. Prices are elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.protocol.realtime import Usage


@dataclass(slots=True)
class UsageMeter:
    """Sums over every response, cancelled ones included.

    Cached tokens are a subset of the input.
    """

    text_in: int = 0
    audio_in: int = 0
    cached_text_in: int = 0
    cached_audio_in: int = 0
    text_out: int = 0
    audio_out: int = 0
    responses: int = 0
    transcribed_seconds: float = 0.0
    transcripts_untimed: int = 0
    """Transcripts of which nobody said how long their audio was: their price is not known."""

    def add_transcript(self, seconds: float | None) -> None:
        """One transcript of the caller; ``seconds`` as billed, None where it was not said."""
        if seconds is None:
            self.transcripts_untimed += 1
        else:
            self.transcribed_seconds += seconds

    def add(self, usage: Usage | None) -> None:
        self.responses += 1
        if usage is None:
            return
        self.text_in += usage.text_in
        self.audio_in += usage.audio_in
        self.cached_text_in += usage.cached_text_in
        self.cached_audio_in += usage.cached_audio_in
        self.text_out += usage.text_out
        self.audio_out += usage.audio_out
