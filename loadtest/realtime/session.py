"""One session of the simulated API: client events in, server events out. Knows no socket."""

from __future__ import annotations

import binascii
import re
from binascii import a2b_base64
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from . import refusals, typed
from .callbook import CallBook
from .conversation import Item, item_from_client
from .faults import NO_FAULTS
from .formats import AudioFormat
from .input_audio import InputAudio, InputEvents
from .record import ToolAnswer, Truncation
from .refusals import Refusal
from .responding import Responder
from .scenario import Scenario, ScenarioError
from .stage import Stage
from .turns import CallerTurns

APPEND: Final = "input_audio_buffer.append"
MAX_APPEND_CHARS = 20 * 1024 * 1024
"""15 MiB of audio as base64."""
MIN_COMMIT_MS = 100
MAX_WAITING = 3000
"""Frames kept while the server is busy, a minute of 20 ms audio; the oldest go first."""
_SCENARIO_MARK = re.compile(r"\[scenario:([\w-]+)\]")


class RealtimeSession:
    """Takes each frame of the client through ``receive``; answers through its stage's wire."""

    def __init__(
        self,
        stage: Stage,
        find_scenario: Callable[[str], Scenario],
        callbook: CallBook | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self.stage = stage
        self._find_scenario = find_scenario
        self._strict = strict
        self.responder = Responder(stage, self._playback_ended)
        self.turns = CallerTurns(stage, self.responder, callbook)
        events = InputEvents(
            self.turns.speech_started, self.turns.speech_stopped, self._wrong_format
        )
        self.input = InputAudio(stage.settings, events)
        stage.record.appended_clock_ms = lambda: self.input.appended_ms
        self._ended = False
        # Events are processed one after the other: what comes while the server is at work waits.
        self._busy = True
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._catching_up = False
        self._handlers: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "session.update": self._update,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.truncate": self._truncate_item,
            "conversation.item.delete": self._delete_item,
            "response.create": self.responder.create,
            "response.cancel": self.responder.cancel,
        }

    # --- its life -------------------------------------------------------------------------------

    def open(self, ttl_s: float) -> None:
        """The connection is up; ``ttl_s`` is how long the session may last from now."""
        stage = self.stage
        stage.note("opened", model=stage.settings.model)
        stage.timers.after(ttl_s, self.expire)
        delay_s = stage.profile.created.draw_s(stage.rng) + stage.faults.create_delay_ms / 1000
        stage.timers.after(delay_s, self._created)

    def _created(self) -> None:
        self.stage.emit("session.created", session=self.stage.settings.to_wire())
        self.stage.note("session_created")
        self._catch_up()

    def _catch_up(self) -> None:
        """Take what came in the meantime, until one of those makes the server busy again."""
        self._busy, self._catching_up = False, True
        while self._waiting and not self._busy and not self._ended:
            self._take(self._waiting.popleft())
        self._catching_up = False

    def expire(self) -> None:
        """The end after 60 minutes, or whenever asked for."""
        message = "Your session hit the maximum duration of 60 minutes."
        self.fail(Refusal("session_expired", message), close_code=1001, reason=message)

    def fail(self, refusal: Refusal, close_code: int, reason: str) -> None:
        """An error that ends the session."""
        self._refuse(refusal, None)
        self.stage.wire.close(close_code, reason)

    def closing(self) -> None:
        """What the client sends from here on may come to nothing."""
        if self.stage.tap is not None:
            self.stage.tap.closed()

    def end(self) -> None:
        """The connection is gone; nothing happens any more."""
        self.closing()
        self._ended = True
        self.stage.timers.close()

    # --- what the client says -------------------------------------------------------------------

    def receive(self, raw: bytes | memoryview) -> None:
        """One text frame."""
        if self._ended:
            return
        if self._busy:
            self._waiting.append(bytes(raw))
        else:
            self._take(raw)

    def _take(self, raw: bytes | memoryview) -> None:
        try:
            event = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            self._refuse(Refusal("invalid_json", f"The event is not JSON: {error}"), None)
            return
        if not isinstance(event, dict):
            self._refuse(refusals.invalid_type("", "an event is an object"), None)
        elif event.get("type") == APPEND:
            self._append(event)
        else:
            self._dispatch(event)

    def _dispatch(self, event: dict[str, Any]) -> None:
        stage = self.stage
        kind = str(event.get("type"))
        stage.record.received[kind] += 1
        if stage.record.keep_events:
            stage.record.events_received.append((stage.clock.time(), event))
        try:
            checked = self._checked(event)
            self._handlers[kind](checked)
        except Refusal as refusal:
            self._refuse(refusal, event.get("event_id"))
        stage.record.changed()

    def _checked(self, event: dict[str, Any]) -> dict[str, Any]:
        """In the GA shape, whatever the client speaks."""
        if self.stage.dialect is not None and event.get("type") in typed.CLIENT_EVENTS:
            event = self.stage.dialect.from_client(event)
        typed.check_client_event(event)
        return event

    def _append(self, event: dict[str, Any]) -> None:
        record = self.stage.record
        record.received[APPEND] += 1
        try:
            if self._strict or len(event) != 2:
                typed.check_client_event(event)
            encoded = event["audio"]
            if len(encoded) > MAX_APPEND_CHARS:
                raise refusals.out_of_range("audio", len(encoded), "at most 15 MiB of audio")
            audio = a2b_base64(encoded, strict_mode=True)
            if self._catching_up or not record.configured:
                record.unconfigured_ms += self.input_format.duration_ms(len(audio))
            if self.stage.tap is not None:
                self.stage.tap.appended(audio)
            self.input.append(audio)
        except Refusal as refusal:
            self._refuse(refusal, event.get("event_id"))
        except (KeyError, TypeError, ValueError, binascii.Error):
            found = type(event.get("audio")).__name__
            wrong = Refusal("invalid_value", f"Invalid 'audio': {found}, not base64.", "audio")
            self._refuse(wrong, event.get("event_id"))

    def _refuse(self, refusal: Refusal, event_id: object) -> None:
        stage = self.stage
        stage.record.fault(
            stage.clock.time(), refusal.code or "error", f"{refusal.param}: {refusal.message}"
        )
        echo = event_id if isinstance(event_id, str) else None
        stage.emit("error", error=refusal.to_wire(echo))

    # --- session --------------------------------------------------------------------------------

    def _update(self, event: dict[str, Any]) -> None:
        stage, change = self.stage, event["session"]
        if stage.faults.refuse_configuration:
            raise refusals.invalid_value("session", "refused on purpose")
        scenario = self._marked(change.get("instructions"))
        before = (stage.settings.input_format, stage.settings.turn_detection)
        stage.settings.update(change, voice_fixed=self.responder.has_spoken)
        if before != (stage.settings.input_format, stage.settings.turn_detection):
            self.input.configure(stage.settings)
        if scenario is not None:
            self._play(scenario)
        delay_s = (
            stage.profile.configured.draw_s(stage.rng) + stage.faults.configure_delay_ms / 1000
        )
        self._busy = True
        stage.timers.after(delay_s, self._updated)

    def _updated(self) -> None:
        stage = self.stage
        stage.record.configuration = stage.settings.to_wire()
        stage.record.configured = True
        stage.emit("session.updated", session=stage.record.configuration)
        stage.note("session_updated")
        if stage.tap is not None:
            stage.tap.configured()
        self._catch_up()

    def _marked(self, instructions: str | None) -> Scenario | None:
        """``[scenario:NAME]`` anywhere in the instructions chooses the script."""
        mark = _SCENARIO_MARK.search(instructions or "")
        if mark is None:
            return None
        try:
            return self._find_scenario(mark[1])
        except ScenarioError as error:
            raise Refusal("invalid_value", str(error), "session.instructions") from None

    def _play(self, scenario: Scenario) -> None:
        stage = self.stage
        stage.script.scenario = scenario
        stage.record.scenario = scenario.name
        if stage.faults is NO_FAULTS:
            stage.faults = scenario.faults

    # --- the caller's audio ---------------------------------------------------------------------

    def _commit(self, event: dict[str, Any]) -> None:
        buffered_ms = self.input.committable_ms
        if buffered_ms < MIN_COMMIT_MS:
            raise refusals.commit_empty(buffered_ms)
        end_ms = self.input.appended_ms
        self.turns.committed_by_hand(end_ms - buffered_ms, end_ms, self.input.take())

    def _clear(self, event: dict[str, Any]) -> None:
        self.input.clear()
        self.turns.forget()
        self.stage.emit("input_audio_buffer.cleared")

    def _wrong_format(self, instead: str) -> None:
        stage = self.stage
        stage.wrong_format = True
        configured = stage.settings.input_format.value
        stage.record.fault(stage.clock.time(), "wrong_format", f"{instead} instead of {configured}")
        message = f"The audio appended is not {configured}: it looks like {instead}."
        refusal = Refusal("invalid_value", message, "audio")
        stage.emit("error", error=refusal.to_wire(None))

    # --- conversation items ---------------------------------------------------------------------

    def _create_item(self, event: dict[str, Any]) -> None:
        stage, wire = self.stage, event["item"]
        item = item_from_client(wire.get("id") or stage.new_id("item"), wire)
        answered = item.kind == "function_call_output" and stage.conversation.answered(
            item.body["call_id"]
        )
        previous = stage.conversation.insert(item, event.get("previous_item_id"))
        for kind in ("conversation.item.added", "conversation.item.done"):
            stage.emit(kind, previous_item_id=previous, item=item.to_wire())
        if item.kind == "function_call_output":
            self._tool_answered(item, answered)
        elif item.kind == "message":
            self._told(item)

    def _tool_answered(self, item: Item, answered_before: bool) -> None:
        stage, call_id = self.stage, str(item.body["call_id"])
        tool = stage.conversation.tool_of(call_id) or ""
        now = stage.clock.time()
        stage.record.tool_outputs.append(ToolAnswer(now, call_id, tool, item.body["output"]))
        if answered_before:
            stage.record.fault(now, "duplicate_tool_output", call_id)
        stage.script.note_tool_output(tool)
        stage.note("tool_answered", tool=tool, call_id=call_id)

    def _told(self, item: Item) -> None:
        stage = self.stage
        stage.record.texts.append((str(item.role), item.text))
        if item.role == "user":
            stage.script.note_user_text(item.text)
        elif item.role == "system":
            stage.script.note_system_text(item.text)
        else:
            stage.script.note_assistant_text()
        stage.note("text_told", role=item.role)

    def _retrieve_item(self, event: dict[str, Any]) -> None:
        item = self.stage.conversation.retrieve(event["item_id"])
        self.stage.emit("conversation.item.retrieved", item=item.to_wire())

    def _truncate_item(self, event: dict[str, Any]) -> None:
        stage = self.stage
        end_ms = event["audio_end_ms"]
        item = stage.conversation.truncate(event["item_id"], event["content_index"], end_ms)
        now = stage.clock.time()
        stage.record.truncations.append(Truncation(now, item.item_id, end_ms, item.generated_ms))
        stage.emit(
            "conversation.item.truncated",
            item_id=item.item_id,
            content_index=event["content_index"],
            audio_end_ms=end_ms,
        )
        stage.note("truncated", item_id=item.item_id, audio_end_ms=end_ms)

    def _delete_item(self, event: dict[str, Any]) -> None:
        stage = self.stage
        item = stage.conversation.delete(event["item_id"])
        stage.record.deletions.append(item.item_id)
        stage.emit("conversation.item.deleted", item_id=item.item_id)
        stage.note("deleted", item_id=item.item_id)

    # --- silence --------------------------------------------------------------------------------

    def _playback_ended(self, playback_end_s: float) -> None:
        """A response is done: the idle timeout counts from the end of its playback."""
        self.turns.wait_for_caller(playback_end_s, lambda: self.input.appended_ms)

    @property
    def input_format(self) -> AudioFormat:
        return self.stage.settings.input_format
