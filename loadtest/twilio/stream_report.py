"""What is kept of one media stream: how it went, in figures."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class StreamEnd(enum.Enum):
    """How a stream came to its end."""

    REFUSED = "refused"
    CLOSED_BY_SERVER = "closed_by_server"
    LOST = "lost"
    STOPPED = "stopped"


@dataclass(slots=True)
class StreamReport:
    """One stream's figures, filled while it runs. Times are monotonic seconds."""

    stream_sid: str
    url: str
    parameters: Mapping[str, str]
    started: float | None = None
    ended: float | None = None
    end: StreamEnd | None = None
    close_code: int | None = None
    close_reason: str = ""
    refused_status: int | None = None
    deflate_agreed: bool = False
    frames_sent: int = 0
    frames_dropped: int = 0
    messages_received: int = 0
    messages_dropped: int = 0
    audio_bytes_received: int = 0
    marks_received: int = 0
    marks_echoed: int = 0
    clears: int = 0
    playout_gaps_ms: list[int] = field(default_factory=list)
    cut_ms: int = 0
