"""What a call can ask for. The runner performs these, in order, and judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bridge.protocol import realtime, twilio_stream
from dispatch.outcome import Outcome


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run one of the operator's look-ups; answer with ``ToolFinished``."""

    call_id: str
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ReconnectModel:
    """Get another model session; answer with ``ModelReady`` or ``ModelLegClosed``."""


@dataclass(frozen=True, slots=True)
class EndCall:
    """Write the decision for ``outcome``, close the model's socket, then Twilio's.

    At most one a call.
    """

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line in the timeline: names and figures, never audio.

    ``words`` holds what was spoken, apart, so that a log can leave it out.
    """

    kind: str
    fields: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    words: str | None = None


Effect: TypeAlias = (
    twilio_stream.Intent | realtime.Command | RunTool | ReconnectModel | EndCall | Note
)
