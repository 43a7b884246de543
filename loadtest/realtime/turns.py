"""The caller's turns: from speech to an item, its transcript, and the response it leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .callbook import CallBook
from .conversation import Item
from .formats import AudioFormat
from .record import HeardTurn
from .responding import Responder
from .stage import Handle, Stage
from .vad import SpeechStarted, SpeechStopped


class CallerTurns:
    """Told by the VAD, by commits and by the idle timer."""

    def __init__(self, stage: Stage, responder: Responder, callbook: CallBook | None) -> None:
        self._stage = stage
        self._responder = responder
        self._callbook = callbook
        self._item_id: str | None = None
        self._idle: Handle | None = None

    def speech_started(self, event: SpeechStarted) -> None:
        stage = self._stage
        stage.timers.cancel(self._idle)
        self._item_id = stage.new_id("item")
        stage.note("speech_started", audio_start_ms=event.audio_start_ms)
        stage.emit(
            "input_audio_buffer.speech_started",
            item_id=self._item_id,
            audio_start_ms=event.audio_start_ms,
        )
        if stage.settings.interrupts_response:
            self._responder.interrupt("turn_detected")

    def speech_stopped(self, event: SpeechStopped, audio: bytes) -> None:
        stage = self._stage
        item_id = self._item_id or stage.new_id("item")
        self._item_id = item_id
        stage.note("speech_stopped", audio_end_ms=event.audio_end_ms)
        if stage.tap is not None:
            stage.tap.speech_stopped()
        stage.emit(
            "input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=event.audio_end_ms
        )
        self._commit(event.audio_start_ms, event.audio_end_ms, audio)
        if stage.settings.creates_response:
            self._responder.create_automatically()

    def committed_by_hand(self, start_ms: int, end_ms: int, audio: bytes) -> None:
        """``input_audio_buffer.commit``; creates no response."""
        self._commit(start_ms, end_ms, audio)

    def forget(self) -> None:
        """The buffer was cleared."""
        self._item_id = None

    def wait_for_caller(self, playback_end_s: float, clock_ms: Callable[[], int]) -> None:
        """Start the idle timeout of the VAD, if it has one; ``clock_ms`` is the audio clock."""
        stage = self._stage
        timeout_ms = stage.settings.idle_timeout_ms
        stage.timers.cancel(self._idle)
        if timeout_ms is None or self._item_id is not None:
            return
        playing_s = max(0.0, playback_end_s - stage.clock.time())
        start_ms = clock_ms()
        self._idle = stage.timers.after(
            playing_s + timeout_ms / 1000, lambda: self._timed_out(start_ms, clock_ms())
        )

    def _timed_out(self, start_ms: int, end_ms: int) -> None:
        stage = self._stage
        if self._responder.active is not None:
            return
        item_id = stage.new_id("item")
        stage.note("caller_silent")
        stage.emit(
            "input_audio_buffer.timeout_triggered",
            item_id=item_id,
            audio_start_ms=start_ms,
            audio_end_ms=end_ms,
        )
        self._add_item(item_id, audio_ms=0)
        stage.script.note_silence()
        self._responder.create_automatically()

    def _commit(self, start_ms: int, end_ms: int, audio: bytes) -> None:
        stage = self._stage
        item_id = self._item_id or stage.new_id("item")
        self._item_id = None
        self._recognise(audio)
        number = stage.script.note_turn()
        now = stage.clock.time()
        stage.record.turns.append(HeardTurn(now, number, item_id, start_ms, end_ms))
        item = self._add_item(item_id, audio_ms=end_ms - start_ms)
        if stage.settings.transcribes:
            delay_s = stage.profile.transcription.draw_s(stage.rng)
            delay_s += stage.faults.transcript_delay_ms / 1000
            stage.timers.after(delay_s, lambda: self._transcribe(item, number))

    def _add_item(self, item_id: str, audio_ms: int) -> Item:
        stage = self._stage
        content: list[dict[str, Any]] = [{"type": "input_audio", "transcript": None}]
        body = {"type": "message", "role": "user", "content": content}
        item = Item(item_id, body, audio_ms=audio_ms)
        previous = stage.conversation.append(item)
        stage.emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        for kind in ("conversation.item.added", "conversation.item.done"):
            stage.emit(kind, previous_item_id=previous, item=item.to_wire())
        return item

    def _recognise(self, audio: bytes) -> None:
        """The first turn of a known recording brings that call's own script."""
        stage = self._stage
        if stage.script.turns:
            return
        call = None if stage.tap is None else stage.tap.known_call()
        if call is None and self._callbook is not None:
            if stage.settings.input_format is not AudioFormat.PCMU:
                return
            call = self._callbook.find(audio)
        if call is not None:
            stage.script.scenario = call.scenario.for_caller(call.turns, call.slots)
            stage.record.scenario = call.scenario.name

    def _transcribe(self, item: Item, number: int) -> None:
        stage = self._stage
        prefix = "conversation.item.input_audio_transcription"
        ids = {"item_id": item.item_id, "content_index": 0}
        if number in stage.faults.failed_transcripts:
            error = {
                "type": "server_error",
                "code": "audio_unintelligible",
                "message": "Input transcription failed for item.",
                "param": None,
            }
            stage.emit(f"{prefix}.failed", **ids, error=error)
            return
        text = stage.script.transcript(number)
        item.body["content"][0]["transcript"] = text
        usage = {"type": "duration", "seconds": round(item.audio_ms / 1000, 3)}
        stage.emit(f"{prefix}.delta", **ids, delta=text)
        for _ in range(2 if stage.faults.duplicate_transcripts else 1):
            stage.emit(f"{prefix}.completed", **ids, transcript=text, usage=usage)
