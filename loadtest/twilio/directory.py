"""Calls, executions and messages of one account: what the REST side gives out and tests look at."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loadtest.twilio.record import StoredRecording

if TYPE_CHECKING:
    from loadtest.twilio.call import CallLeg

MAX_KEPT = 10_000
MAX_RECORDINGS = 1000


@dataclass(slots=True)
class CallRecord:
    """A call as the REST API knows it; ``leg`` is there while the call lives."""

    sid: str
    params: Mapping[str, str]
    leg: CallLeg | None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    ended: datetime | None = None
    duration_s: int | None = None

    @property
    def status(self) -> str:
        return self.params["CallStatus"]

    def close(self) -> None:
        """The call is over; what remains is small."""
        self.ended = datetime.now(UTC)
        self.duration_s = max(1, round(time.monotonic() - self.started))
        self.leg = None


@dataclass(slots=True)
class Execution:
    """One run of a Studio flow started by REST."""

    sid: str
    flow_sid: str
    contact: str
    contact_sid: str
    from_number: str
    parameters: Mapping[str, object]
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: str = "active"


@dataclass(frozen=True, slots=True)
class Message:
    """One message sent."""

    sid: str
    fields: Mapping[str, str]
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


class Directory:
    """Everything kept, by SID. Of each kind the latest ``MAX_KEPT``; live calls all."""

    def __init__(self) -> None:
        self.live: dict[str, CallRecord] = {}
        self._ended: OrderedDict[str, CallRecord] = OrderedDict()
        self._recordings: OrderedDict[str, StoredRecording] = OrderedDict()
        self.executions: deque[Execution] = deque(maxlen=MAX_KEPT)
        self.messages: deque[Message] = deque(maxlen=MAX_KEPT)

    def call(self, sid: str) -> CallRecord | None:
        return self.live.get(sid) or self._ended.get(sid)

    def open(self, leg: CallLeg) -> None:
        self.live[leg.sid] = CallRecord(leg.sid, leg.params, leg)

    def close(self, sid: str) -> None:
        record = self.live.pop(sid, None)
        if record is None:
            return
        record.close()
        self._ended[sid] = record
        while len(self._ended) > MAX_KEPT:
            self._ended.popitem(last=False)

    def keep_recording(self, recording: StoredRecording) -> None:
        self._recordings[recording.sid] = recording
        while len(self._recordings) > MAX_RECORDINGS:
            self._recordings.popitem(last=False)

    def recording(self, sid: str) -> StoredRecording | None:
        return self._recordings.get(sid)

    def active_execution(self, flow_sid: str, contact: str) -> Execution | None:
        """The run that a contact is in, if any: there can be one at a time."""
        for execution in self.executions:
            if (execution.flow_sid, execution.contact, execution.status) == (
                flow_sid,
                contact,
                "active",
            ):
                return execution
        return None

    def end_execution(self, sid: str) -> Execution | None:
        execution = next((each for each in self.executions if each.sid == sid), None)
        if execution is not None:
            execution.status = "ended"
        return execution
