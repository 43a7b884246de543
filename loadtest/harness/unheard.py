"""Calls of which the model heard nothing, though a session served them.

Without a frame that arrives nothing says which session is whose. A bridge may also have decided to
go without a model. So a session has to be found that was used, heard nobody, and fits in time: it
spoke during the call, or was closed when the call's stream ended.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

FITS_S = 1.0
"""A session that was closed so shortly before or after the stream's end was closed with it."""


@dataclass(frozen=True, slots=True)
class UnheardCall:
    """Times are monotonic seconds; so many frames were sent, evenly, from the first to the last."""

    began: float
    ended: float
    frames: int

    def frames_until(self, moment: float) -> int:
        lasted_s = self.ended - self.began
        share = (moment - self.began) / lasted_s if lasted_s > 0 else 0.0
        return round(self.frames * min(1.0, max(0.0, share)))


@dataclass(frozen=True, slots=True)
class UnheardSession:
    """A configured session to which nothing was appended."""

    spoke: float | None
    closed: float | None


def unheard_frames(
    calls: Iterable[UnheardCall], sessions: Iterable[UnheardSession], under_way_s: float
) -> int:
    """Frames that had to reach the model, of calls for which a session is found; each serves one.

    What was sent in the last ``under_way_s`` before the session or the stream was over is left out.
    """
    spoke: list[tuple[float, float]] = []
    closed: list[tuple[float, float]] = []
    for one in sessions:
        end = float("inf") if one.closed is None else one.closed
        if one.spoke is not None:
            insort(spoke, (one.spoke, end))
        elif one.closed is not None:
            insort(closed, (one.closed, end))
    frames = 0
    for call in sorted(calls, key=lambda call: call.ended):
        over = _taken(spoke, call.began, call.ended)
        if over is None:
            over = _taken(closed, call.ended - FITS_S, call.ended + FITS_S)
        if over is not None:
            frames += call.frames_until(min(over, call.ended) - under_way_s)
    return frames


def _taken(sessions: list[tuple[float, float]], after: float, before: float) -> float | None:
    """When the first session within this time ended; it is nobody else's then."""
    place = bisect_left(sessions, (after, 0.0))
    if place == len(sessions) or sessions[place][0] > before:
        return None
    return sessions.pop(place)[1]
