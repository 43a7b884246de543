"""Who may speak: one response at a time in the conversation, any number beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from . import refusals
from .faults import Cut
from .formats import AudioFormat
from .generation import CancelReason, Generation, ResponsePlan
from .record import ResponseRecord
from .scenario import Action, CallTool, Drop, Fail, Say
from .script import OutOfBand, Trigger
from .stage import Stage

DROP_AT_MS = 1000
"""Where a planned drop comes in the audio of its response."""
_UNKNOWN_EVENT = "response.output_hologram.delta"


class Responder:
    """Makes responses of a session. ``on_quiet`` is told when playback will have ended."""

    def __init__(self, stage: Stage, on_quiet: Callable[[float], None]) -> None:
        self._stage = stage
        self._on_quiet = on_quiet
        self._aside: dict[str, Generation] = {}
        self._fail_next: str | None = None
        self._meant: tuple[Action, ...] = ()
        """What the running response was to do, before the fault plan."""
        self._owed = False
        """The caller's turn was over before the response it interrupted had wound down."""
        self.active: Generation | None = None
        """The response that writes to the conversation now."""

    @property
    def has_spoken(self) -> bool:
        """From the first assistant audio on the voice is fixed."""
        return any(record.first_audio_s is not None for record in self._stage.record.responses)

    def create(self, event: Mapping[str, Any]) -> None:
        """``response.create``."""
        wanted = event.get("response") or {}
        self._stage.settings.check_response(wanted)
        beside = wanted.get("conversation") == "none"
        if self.active is not None and not beside:
            raise refusals.active_response(self.active.response_id)
        if beside:
            metadata = wanted.get("metadata") or {}
            trigger: Trigger = OutOfBand(metadata.get("topic"))
        else:
            trigger = self._stage.script.trigger()
        self._start(self._plan(trigger, wanted, automatic=False))

    def create_automatically(self) -> None:
        """The VAD's own response to a turn, or to silence."""
        stage = self._stage
        if self.active is not None and self.active.winding_down:
            self._owed = True
            return
        if self.active is not None:
            # interrupt_response is off: the response to this turn fails, as documented.
            refusal = refusals.active_response(self.active.response_id)
            stage.emit("error", error=refusal.to_wire(None))
            return
        self._start(self._plan(stage.script.trigger(), {}, automatic=True))

    def cancel(self, event: Mapping[str, Any]) -> None:
        """``response.cancel``."""
        wanted = event.get("response_id")
        if wanted in self._aside:
            self._aside[wanted].interrupt("client_cancelled")
            return
        if self.active is None or wanted not in (None, self.active.response_id):
            raise refusals.no_active_response()
        self.active.interrupt("client_cancelled")

    def interrupt(self, reason: CancelReason) -> None:
        """Stop the response that speaks, if there is one."""
        if self.active is not None:
            self.active.interrupt(reason)

    def fail_next(self, code: str) -> None:
        """The next response ends ``failed`` with this code."""
        self._fail_next = code

    # --- making one -----------------------------------------------------------------------------

    def _start(self, plan: ResponsePlan) -> None:
        stage = self._stage
        record = ResponseRecord(
            number=len(stage.record.responses) + 1,
            response_id=stage.new_id("resp"),
            trigger=plan.trigger,
            automatic=plan.automatic,
            requested_s=stage.clock.time(),
            metadata=plan.metadata,
        )
        stage.record.responses.append(record)
        self._misbehave()
        actions = self._with_faults(plan.actions, record.number)
        generation = Generation(stage, replace(plan, actions=actions), record, self._done)
        if plan.in_conversation:
            self.active, self._meant = generation, plan.actions
        else:
            self._aside[generation.response_id] = generation
        generation.start()

    def _done(self, generation: Generation) -> None:
        stage, plan = self._stage, generation.plan
        if generation is not self.active:
            self._aside.pop(generation.response_id, None)
            return
        self.active = None
        if generation.record.status == "completed":
            stage.script.completed(plan.trigger)
        else:
            stage.script.not_completed(plan.trigger, self._meant)
        if self._owed:
            self._owed = False
            self.create_automatically()
        else:
            self._on_quiet(generation.playback_end_s)

    def _plan(
        self, trigger: Trigger, wanted: Mapping[str, Any], *, automatic: bool
    ) -> ResponsePlan:
        """The session's settings with what this one response overrides."""
        settings = self._stage.settings
        output = (wanted.get("audio") or {}).get("output") or {}
        tools = wanted.get("tools")
        modalities = wanted.get("output_modalities") or settings.output_modalities
        instructions = wanted.get("instructions")
        actions = self._stage.script.actions(trigger)
        tools = settings.tools if tools is None else tools
        choice = wanted.get("tool_choice") or settings.tool_choice
        audio_format = (output.get("format") or {}).get("type") or settings.output_format.value
        return ResponsePlan(
            trigger=trigger,
            actions=self._allowed(self._chosen(actions, choice), tools),
            automatic=automatic,
            spoken=modalities == ["audio"],
            audio_format=AudioFormat(audio_format),
            voice=output.get("voice") or settings.voice,
            max_output_tokens=wanted.get("max_output_tokens") or settings.max_output_tokens,
            instructions=settings.instructions if instructions is None else instructions,
            tools=tools,
            in_conversation=wanted.get("conversation") != "none",
            metadata=wanted.get("metadata") or {},
        )

    def _chosen(self, actions: tuple[Action, ...], choice: object) -> tuple[Action, ...]:
        """What ``tool_choice`` leaves of the script, or adds to it."""
        if choice == "none":
            return tuple(action for action in actions if not isinstance(action, CallTool))
        calls = [action for action in actions if isinstance(action, CallTool)]
        script = self._stage.script.scenario
        if isinstance(choice, Mapping) and choice["type"] == "function":
            name = str(choice["name"])
            matching = [call for call in calls if call.tool == name]
            return (*matching[:1],) or (script.tool_call(name) or CallTool(name, {}),)
        if choice == "required" and not calls:
            call = script.tool_call(None)
            return actions if call is None else (call,)
        return actions

    def _allowed(
        self, actions: tuple[Action, ...], tools: list[dict[str, Any]]
    ) -> tuple[Action, ...]:
        """A model can call only the tools it was given; the script may know more."""
        names = {tool.get("name") for tool in tools}
        stage = self._stage
        for action in actions:
            if isinstance(action, CallTool) and action.tool not in names:
                stage.record.fault(stage.clock.time(), "unknown_tool", action.tool)
        return tuple(
            action for action in actions if not isinstance(action, CallTool) or action.tool in names
        )

    def _with_faults(self, actions: tuple[Action, ...], number: int) -> tuple[Action, ...]:
        """What the fault plan makes of the n-th response."""
        faults = self._stage.faults
        code = self._fail_next or faults.fail_responses.get(number)
        self._fail_next = None
        if code is not None:
            return (Fail(code), *actions)
        stall_ms, cut = faults.stall_responses.get(number), faults.drop_responses.get(number)
        if stall_ms is None and cut is None:
            return actions
        if not any(isinstance(action, Say) for action in actions):
            return actions if cut is None else (Drop(cut), *actions)
        return tuple(_spoilt(action, stall_ms, cut) for action in actions)

    def _misbehave(self) -> None:
        stage = self._stage
        if stage.faults.unknown_events:
            stage.emit(_UNKNOWN_EVENT, delta="?")
        if stage.faults.garbage:
            self.send_garbage()

    def send_garbage(self) -> None:
        """A text frame that is not JSON, and a binary frame."""
        self._stage.wire.send_text(b'{"type": "response.output_audio.delta", "delta": "')
        self._stage.wire.send_binary(b"\x00\xff not for you")


def _spoilt(action: Action, stall_ms: int | None, cut: Cut | None) -> Action:
    if not isinstance(action, Say):
        return action
    return replace(action, stall_at_ms=stall_ms, drop=cut, drop_at_ms=DROP_AT_MS)
