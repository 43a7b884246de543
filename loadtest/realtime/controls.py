"""Mischief at run time: what a test does to a session while it runs."""

from __future__ import annotations

from .faults import Cut
from .session import RealtimeSession


class SessionControls:
    """Faults on demand for one live session."""

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session

    def drop(self, cut: Cut) -> None:
        """End the connection: "1001", "1011", "reset" or "half_open"."""
        self._session.stage.wire.cut(cut)

    def expire(self) -> None:
        """session_expired and close 1001, as after 60 minutes."""
        self._session.expire()

    def fail_next_response(self, code: str) -> None:
        """The next response ends ``failed``: inference_rate_limit_exceeded, server_error."""
        self._session.responder.fail_next(code)

    def stall(self) -> None:
        """The running response stands still, mid-sentence, until ``resume``."""
        if self._session.responder.active is not None:
            self._session.responder.active.stall()

    def resume(self) -> None:
        if self._session.responder.active is not None:
            self._session.responder.active.resume()

    def send_garbage(self) -> None:
        """A text frame that is not JSON and a binary frame."""
        self._session.responder.send_garbage()

    def send_event(self, kind: str, **fields: object) -> None:
        """Any event at all, such as a type that no client knows."""
        self._session.stage.emit(kind, **fields)
