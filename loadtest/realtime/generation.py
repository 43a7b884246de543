"""One response from ``response.created`` to ``response.done``: what comes when.

The course is written down as generators that send events and yield the seconds to wait before going
on; an interruption replaces the running generator by one that winds the response down.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from . import delivery
from .conversation import Item
from .faults import Cut, failure_to_wire
from .formats import AudioFormat
from .lines import loud_noise, near_silence
from .output import ResponseOutput
from .record import ResponseRecord
from .scenario import Action, CallTool, Drop, Fail, Incomplete, Say, SayAny, Text
from .script import Trigger
from .stage import Handle, Stage
from .usage import ASSISTANT_MS_PER_TOKEN, output_tokens, usage_to_wire

Steps: TypeAlias = Iterator[float]
"""Seconds to wait before the next step; infinity stands still until ``resume``."""
CancelReason: TypeAlias = Literal["turn_detected", "client_cancelled"]

_CREATED_SHARE = 0.1
"""``response.created`` comes after this share of the time to the first delta."""
_PIECE_S = 0.012
"""Between pieces of arguments and written text; nothing where audio comes at once."""
_TRAILING_S = 0.02
"""Between the deltas that still arrive after a cancel."""


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """What a response will be; the session has settled every question by now."""

    trigger: Trigger
    actions: tuple[Action, ...]
    automatic: bool
    spoken: bool
    """Audio with transcript; otherwise text."""
    audio_format: AudioFormat
    voice: object
    max_output_tokens: int | str
    instructions: str
    tools: list[dict[str, Any]]
    in_conversation: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)


class _Ended(Exception):  # noqa: N818 - a way out of nested generators, not an error
    """The response ends early: status and ``status_details``."""

    def __init__(self, status: str, details: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.details = details


class Generation:
    """Runs one response. ``on_done`` is called right after its ``response.done`` was sent."""

    def __init__(
        self,
        stage: Stage,
        plan: ResponsePlan,
        record: ResponseRecord,
        on_done: Callable[[Generation], None],
    ) -> None:
        self.plan = plan
        self.record = record
        self.playback_end_s = 0.0
        """When a client that plays in real time will have played what was sent so far."""
        self.winding_down = False
        """It was interrupted, and its last events are still to come."""
        self._stage = stage
        self._on_done = on_done
        self._output = ResponseOutput(
            stage, record.response_id, plan.audio_format, aside=not plan.in_conversation
        )
        self._steps: Steps = self._run()
        self._due_s = stage.clock.time()
        self._timer: Handle | None = None
        self._unsent: Iterator[delivery.Delta] = iter(())
        self._finished = False
        self._standing = False
        self._heard, self._cached = stage.meter.input_tokens(
            stage.conversation, plan.instructions, plan.tools
        )

    @property
    def response_id(self) -> str:
        return self.record.response_id

    def start(self) -> None:
        self._advance()

    def interrupt(self, reason: CancelReason) -> None:
        """Stop speaking: a few deltas still leave, then the item and the response are closed."""
        if self._finished or self.winding_down:
            return
        self.winding_down = True
        self._go_on_with(self._wind_down(reason))

    def stall(self) -> None:
        """Stand still until ``resume``."""
        self._stage.timers.cancel(self._timer)
        self._standing = True

    def resume(self) -> None:
        if self._standing and not self._finished:
            self._go_on_with(self._steps)

    # --- the course of a response -----------------------------------------------------------

    def _go_on_with(self, steps: Steps) -> None:
        self._stage.timers.cancel(self._timer)
        self._steps = steps
        self._standing = False
        self._due_s = self._stage.clock.time()
        self._advance()

    def _advance(self) -> None:
        """Take steps until one has to wait."""
        for wait_s in self._steps:
            if math.isinf(wait_s):
                self._standing = True
                return
            if wait_s > 0:
                # From when it was due, so that lateness does not add up.
                self._due_s += wait_s
                delay_s = max(self._due_s - self._stage.clock.time(), 1e-6)
                self._timer = self._stage.timers.after(delay_s, self._advance)
                return

    def _run(self) -> Steps:
        first_delta_s = self._time_to_first_delta()
        yield first_delta_s * _CREATED_SHARE
        self._created()
        yield first_delta_s * (1 - _CREATED_SHARE)
        try:
            for action in self.plan.actions:
                yield from self._perform(action)
        except _Ended as ended:
            self._finish(ended.status, ended.details)
        else:
            self._finish("completed", None)

    def _perform(self, action: Action) -> Steps:
        match action:
            case Say():
                yield from self._say(action)
            case SayAny(lines):
                yield from self._say(Say((self._stage.rng.choice(lines),)))
            case Text(text):
                yield from self._write(text)
            case CallTool():
                yield from self._call(action)
            case Fail(code):
                raise _Ended("failed", {"type": "failed", "error": failure_to_wire(code)})
            case Incomplete(reason):
                raise _Ended("incomplete", {"type": "incomplete", "reason": reason})
            case Drop(cut):
                yield from self._drop(cut)

    def _time_to_first_delta(self) -> float:
        profile, rng = self._stage.profile, self._stage.rng
        extra_s = 0.0 if self.plan.automatic else profile.client_extra.draw_s(rng)
        return profile.first_delta.draw_s(rng) + extra_s

    def _created(self) -> None:
        stage = self._stage
        self.record.created_s = stage.clock.time()
        stage.note("response_created", response_id=self.response_id, trigger=self.plan.trigger)
        stage.emit("response.created", response=self._to_wire("in_progress", None, None))
        limits = stage.limits.spend(self._heard.total, stage.clock.time())
        stage.emit("rate_limits.updated", rate_limits=limits)

    def _wind_down(self, reason: CancelReason) -> Steps:
        stage, items = self._stage, self._output.items
        fast = math.isinf(stage.profile.speed)
        for _ in range(stage.rng.randint(1, max(1, stage.profile.trailing))):
            delta = next(self._unsent, None)
            if delta is None:
                break
            self._send(items[-1], delta)
            yield 0.0 if fast else _TRAILING_S
        if items and items[-1].status == "in_progress":
            self._output.close(items[-1], "incomplete")
        self._finish("cancelled", {"type": "cancelled", "reason": reason})

    def _finish(self, status: str, details: dict[str, Any] | None) -> None:
        stage, record = self._stage, self.record
        self._finished = True
        made = output_tokens(self._output.items)
        usage = usage_to_wire(self._heard, self._cached, made)
        record.status, record.done_s = status, stage.clock.time()
        error = (details or {}).get("error") or {}
        record.reason = (details or {}).get("reason") or error.get("code")
        if stage.tap is not None:
            stage.tap.answered(record)
        stage.emit("response.done", response=self._to_wire(status, details, usage))
        stage.note(
            "response_done",
            response_id=self.response_id,
            status=status,
            reason=record.reason,
            audio_ms=record.audio_ms,
        )
        self._on_done(self)

    # --- what it consists of ----------------------------------------------------------------

    def _say(self, say: Say) -> Steps:
        stage = self._stage
        text = " ".join(stage.lines.text(name) for name in say.lines)
        if not self.plan.spoken:
            yield from self._write(text)
            return
        item = self._output.open_audio()
        self._unsent = delivery.deltas(self._audio(say), text, self.plan.audio_format, stage.rng)
        yield from self._deliver(item, say)
        self._output.close(item, "completed")

    def _audio(self, say: Say) -> bytes:
        stage, audio_format = self._stage, self.plan.audio_format
        audio = b"".join(stage.lines.audio(name, audio_format) for name in say.lines)
        if stage.wrong_format:
            return loud_noise(audio_format, audio_format.duration_ms(len(audio)))
        lead_ms = round(stage.profile.lead_silence.draw_ms(stage.rng))
        audio = near_silence(audio_format, lead_ms, stage.rng) + audio
        if stage.tap is not None and audio_format is AudioFormat.PCMU:
            return stage.tap.speaking(audio, self.record)
        return audio

    def _deliver(self, item: Item, say: Say) -> Steps:
        """Deltas in bursts, so that audio comes ``speed`` times faster than it plays."""
        profile, rng = self._stage.profile, self._stage.rng
        stall_at_ms = say.stall_at_ms
        burst_left = rng.randint(1, profile.burst)
        ahead_ms = 0
        for delta in self._unsent:
            ahead_ms += self._send(item, delta)
            self._check_tokens(item)
            burst_left -= 1
            if say.drop is not None and item.generated_ms >= say.drop_at_ms:
                yield from self._drop(say.drop)
            if stall_at_ms is not None and item.generated_ms >= stall_at_ms:
                stall_at_ms = None
                yield math.inf if say.stall_for_ms is None else say.stall_for_ms / 1000
            if burst_left <= 0:
                burst_left = rng.randint(1, profile.burst)
                yield ahead_ms / 1000 / profile.speed
                ahead_ms = 0

    def _send(self, item: Item, delta: delivery.Delta) -> int:
        """Returns the delta's duration in milliseconds."""
        duration_ms = self._output.add_audio(item, delta)
        if self._stage.tap is not None:
            self._stage.tap.spoke(delta.byte_count, self.record)
        now = self._stage.clock.time()
        if self.record.first_audio_s is None:
            self.record.first_audio_s = now
            self._stage.note("first_audio", response_id=self.response_id, item_id=item.item_id)
        self.record.audio_ms += duration_ms
        self.playback_end_s = max(self.playback_end_s, now) + duration_ms / 1000
        return duration_ms

    def _check_tokens(self, item: Item) -> None:
        limit = self.plan.max_output_tokens
        if isinstance(limit, int) and self.record.audio_ms >= limit * ASSISTANT_MS_PER_TOKEN:
            self._unsent = iter(())
            self._output.close(item, "incomplete")
            raise _Ended("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})

    def _drop(self, cut: Cut) -> Steps:
        self._stage.wire.cut(cut)
        yield math.inf

    def _write(self, text: str) -> Steps:
        item = self._output.open_text()
        for piece in delivery.pieces(text, self._stage.rng):
            self._output.add_text(item, piece)
            yield self._piece_s()
        self._output.close(item, "completed")

    def _call(self, call: CallTool) -> Steps:
        stage = self._stage
        item = self._output.open_call(call.tool)
        arguments = json.dumps(stage.script.fill(call), ensure_ascii=False)
        for piece in delivery.pieces(arguments, stage.rng):
            self._output.add_arguments(item, piece)
            yield self._piece_s()
        stage.note("tool_called", tool=call.tool, call_id=item.body["call_id"])
        self._output.close(item, "completed")

    def _piece_s(self) -> float:
        return 0.0 if math.isinf(self._stage.profile.speed) else _PIECE_S

    def _to_wire(
        self, status: str, details: dict[str, Any] | None, usage: dict[str, Any] | None
    ) -> dict[str, Any]:
        plan, conversation = self.plan, self._stage.conversation
        items = self._output.items if usage is not None else []
        return {
            "object": "realtime.response",
            "id": self.response_id,
            "status": status,
            "status_details": details,
            "output": [item.to_wire() for item in items],
            "conversation_id": conversation.conversation_id if plan.in_conversation else None,
            "output_modalities": ["audio"] if plan.spoken else ["text"],
            "max_output_tokens": plan.max_output_tokens,
            "audio": {"output": {"format": plan.audio_format.to_wire(), "voice": plan.voice}},
            "usage": usage,
            "metadata": dict(plan.metadata) or None,
        }
