"""Calls to put questions to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridge.call.events import CallerStarted, ModelReady
from bridge.call.limits import CallLimits
from bridge.call.session import CallSession
from bridge.call.state import Script
from bridge.call.turns import TurnClock
from tests.bridge.call.rehearsal import Rehearsal, SimpleDesk

Rehearse = Callable[..., Rehearsal]


@pytest.fixture
def new_call() -> Rehearse:
    """A call before anything happened; keywords are those of ``Script`` and ``CallLimits``."""

    def make(script: Script | None = None, **limits: float) -> Rehearsal:
        chosen = CallLimits(**limits)  # type: ignore[arg-type]
        turns = TurnClock(vad_silence_ms=500)
        return Rehearsal(CallSession(SimpleDesk(), script or Script(), chosen, turns))

    return make


@pytest.fixture
def talking_call(new_call: Rehearse) -> Rehearse:
    """A call in conversation: the stream started, the model is ready, no greeting."""

    def make(script: Script | None = None, **limits: float) -> Rehearsal:
        call = new_call(script, **limits)
        call.feed(CallerStarted())
        call.feed(ModelReady())
        return call

    return make
