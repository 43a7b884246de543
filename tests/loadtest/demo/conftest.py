"""Calls of the demo without sockets: events and notes by hand, and what the screen shows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest

from loadtest.demo import DemoCall, Note, Screen, demo_call
from loadtest.demo.live import LiveCall
from loadtest.demo.player import CallReport
from loadtest.demo.timeline import Entry
from loadtest.twilio import CallEvent, CallResult, Notice, Outcome, Recording
from loadtest.twilio.timeline import EventKind

SID = "CA" + "1" * 32
FOLD = "\n" + " " * 19
Value: TypeAlias = str | int | float | bool | None


@dataclass
class Stage:
    """One call on a screen that is a text."""

    call: DemoCall
    words_so_far: Mapping[str, str] = field(default_factory=dict)
    text: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.live = LiveCall(
            self.call, Screen(self.text), lambda item: self.words_so_far.get(item, "")
        )

    def twilio(self, ms: int, kind: EventKind, **data: object) -> None:
        self.live.twilio(CallEvent(kind, ms, ms / 1000, SID, data))

    def bridge(self, at: int, kind: str, words: str | None = None, /, **fields: Value) -> None:
        self.live.bridge(at, Note(kind, fields, words))

    @property
    def lines(self) -> list[str]:
        """What stands on the screen: folded lines unfolded, spaces drawn together."""
        unfolded = self.text.getvalue().replace(FOLD, " ")
        return [" ".join(line.split()) for line in unfolded.splitlines()]


@pytest.fixture
def schedule() -> Stage:
    """The call whose caller interrupts."""
    return Stage(demo_call("schedule"))


def result(
    *outcomes: Outcome,
    recording: Recording | None = None,
    notices: Sequence[Notice] = (),
) -> CallResult:
    """A call that came to this."""
    return CallResult(
        call_sid=SID,
        outcomes=outcomes,
        notices=tuple(notices),
        timeline=(),
        webhooks=(),
        streams=(),
        recording=recording,
        duration_ms=1000,
    )


def report(
    name: str, ended: CallResult, entries: Sequence[Entry] = (), faults: Sequence[str] = ()
) -> CallReport:
    return CallReport(demo_call(name), ended, tuple(entries), (), (), "somewhere", tuple(faults))
