"""The latency clock of each turn: from the end of the caller's speech to the answer in the
caller's ear.

Times are seconds of one monotonic clock, handed in. The audio clock counts caller audio appended
to the model; it turns the server's audio positions into times of our own clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class AudioClock:
    """Where the caller's audio stands: milliseconds appended, and when the last frame came.

    The runner updates both fields for every frame; nothing else does.
    """

    appended_ms: int = 0
    last_frame_at: float = 0.0

    def time_of(self, position_ms: int) -> float:
        """When the audio at ``position_ms`` came in, given that frames come in real time."""
        return self.last_frame_at - (self.appended_ms - position_ms) / 1000


@dataclass(slots=True)
class Turn:
    """One answer to the caller. All ``*_at`` in seconds; None where it did not happen."""

    index: int
    speech_end_at: float
    """The caller's last speech: the server's end of speech, less the silence its VAD waited."""
    speech_stopped_at: float
    first_model_audio_at: float | None = None
    first_audio_sent_at: float | None = None
    first_audio_playing_at: float | None = None
    used_tool: bool = False
    decided: bool = False
    """The answer is the closing line, which waited for the decision."""

    def _since(self, start: float, end: float | None) -> float | None:
        return None if end is None else round((end - start) * 1000, 1)

    @property
    def first_model_audio_ms(self) -> float | None:
        """``speech_stopped`` to the first audio of the answer in the bridge (budget 800 ms)."""
        return self._since(self.speech_stopped_at, self.first_model_audio_at)

    @property
    def first_audio_out_ms(self) -> float | None:
        """The caller's last speech to the answer's first audio, acknowledged as playing (1.4 s)."""
        return self._since(self.speech_end_at, self.first_audio_playing_at)

    @property
    def bridge_ms(self) -> float | None:
        """The answer's first audio: received by us to written to Twilio."""
        if self.first_model_audio_at is None:
            return None
        return self._since(self.first_model_audio_at, self.first_audio_sent_at)


@dataclass(slots=True)
class TurnClock:
    """Measures turns and interruptions.

    ``vad_silence_ms`` is what the server waits before it says stop.
    """

    vad_silence_ms: int
    audio: AudioClock = field(default_factory=AudioClock)
    turns: list[Turn] = field(default_factory=list)
    barge_in_to_clear_ms: list[float] = field(default_factory=list)
    _open: Turn | None = None
    _opening_item: str | None = None
    _barge_in_at: float | None = None

    def speech_stopped(self, audio_end_ms: int, now: float) -> None:
        end_at = self.audio.time_of(audio_end_ms - self.vad_silence_ms)
        self._open = Turn(len(self.turns) + 1, min(end_at, now), now)
        self._opening_item = None
        self.turns.append(self._open)

    def tool_used(self) -> None:
        if self._open is not None:
            self._open.used_tool = True

    def decided(self) -> None:
        if self._open is not None:
            self._open.decided = True

    def model_audio(self, item_id: str, now: float) -> bool:
        """Audio of the answer came. True for the first of the open turn."""
        turn = self._open
        if turn is None or turn.first_model_audio_at is not None:
            return False
        turn.first_model_audio_at = now
        self._opening_item = item_id
        return True

    def playing(self, item_id: str, now: float) -> Turn | None:
        """The opening mark of ``item_id`` came back. The turn, if this completes it."""
        turn = self._open
        if turn is None or item_id != self._opening_item:
            return None
        turn.first_audio_playing_at = now
        self._open = None
        return turn

    def speech_started(self) -> None:
        """The caller speaks again: a turn that was not answered by now stays as it is."""
        self._open = None

    def barge_in(self, now: float) -> None:
        self._barge_in_at = now

    def written(self, now: float) -> None:
        """The runner has written the effects of the event before. Closes what waited for that."""
        if self._barge_in_at is not None:
            self.barge_in_to_clear_ms.append(round((now - self._barge_in_at) * 1000, 3))
            self._barge_in_at = None
        turn = self._open
        if turn is not None and turn.first_audio_sent_at is None and turn.first_model_audio_at:
            turn.first_audio_sent_at = now
