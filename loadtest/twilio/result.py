"""What one simulated call came to: outcome, faults, timeline, latencies at the ear, both tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.twilio.notices import Notice, Severity
from loadtest.twilio.outcomes import Outcome, decisive
from loadtest.twilio.recorder import Recording
from loadtest.twilio.stream_report import StreamReport
from loadtest.twilio.timeline import CallEvent
from loadtest.twilio.webhooks import WebhookCall


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing the caller said. Times in ms since the start of the call.

    ``latency_ms``: from the last audible caller frame to the first audible assistant audio played;
    None where no answer was heard before the caller spoke again or the call ended.
    """

    speech_started_ms: int
    speech_ended_ms: int
    answered_ms: int | None

    @property
    def latency_ms(self) -> int | None:
        return None if self.answered_ms is None else self.answered_ms - self.speech_ended_ms


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The caller began to speak over the assistant; ``cut`` when a clear or close silenced it."""

    started_ms: int
    silent_ms: int | None
    cut: bool

    @property
    def silence_after_ms(self) -> int | None:
        return None if self.silent_ms is None else self.silent_ms - self.started_ms


@dataclass(frozen=True, slots=True)
class CallResult:
    """Everything known of one call when it is over."""

    call_sid: str
    outcomes: tuple[Outcome, ...]
    notices: tuple[Notice, ...]
    timeline: tuple[CallEvent, ...]
    webhooks: tuple[WebhookCall, ...]
    streams: tuple[StreamReport, ...]
    recording: Recording | None
    duration_ms: int

    @property
    def outcome(self) -> Outcome:
        """Where the call arrived, else how it ended."""
        return decisive(self.outcomes)

    @property
    def errors(self) -> tuple[Notice, ...]:
        """Faults of the application, errors and warnings alike."""
        return tuple(notice for notice in self.notices if notice.severity is not Severity.INFO)

    @property
    def turns(self) -> tuple[Turn, ...]:
        return turns_of(self.timeline)

    @property
    def barge_ins(self) -> tuple[BargeIn, ...]:
        return barge_ins_of(self.timeline)

    @property
    def greeting_ms(self) -> int | None:
        """From the first stream's start to the first audible assistant audio."""
        started = next((e.at_ms for e in self.timeline if e.kind == "stream_started"), None)
        heard = next((e.at_ms for e in self.timeline if e.kind == "assistant_started"), None)
        return None if started is None or heard is None else heard - started


def turns_of(events: Sequence[CallEvent]) -> tuple[Turn, ...]:
    """Turns of the caller; events sorted by time."""
    turns: list[Turn] = []
    started_ms: int | None = None
    for event in events:
        match event.kind:
            case "caller_speech_started":
                started_ms = event.at_ms
            case "caller_speech_ended" if started_ms is not None:
                turns.append(Turn(started_ms, event.at_ms, None))
                started_ms = None
            case "assistant_started" if started_ms is None and turns:
                last = turns[-1]
                if last.answered_ms is None:
                    turns[-1] = Turn(last.speech_started_ms, last.speech_ended_ms, event.at_ms)
            case _:
                pass
    return tuple(turns)


def barge_ins_of(events: Sequence[CallEvent]) -> tuple[BargeIn, ...]:
    """Each time the caller began over the assistant; events sorted by time."""
    barge_ins: list[BargeIn] = []
    for index, event in enumerate(events):
        if event.kind == "caller_speech_started" and event.data.get("over_assistant"):
            stop = next((e for e in events[index:] if e.kind == "assistant_stopped"), None)
            silent_ms = None if stop is None else stop.at_ms
            cut = stop is not None and bool(stop.data.get("cut"))
            barge_ins.append(BargeIn(event.at_ms, silent_ms, cut))
    return tuple(barge_ins)
