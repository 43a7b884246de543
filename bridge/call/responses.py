"""One response at a time: asks for one when the model is free, keeps owing it while it is not.

The server refuses a second response while one runs, and starts its own when the caller stops
speaking. So a wish for a response waits here until neither is the case, and is dropped when the
server's own response has already seen what the wish was about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bridge.protocol.realtime import CreateResponse


@dataclass(slots=True)
class ResponseSequencer:
    """The state of the model's one mouth."""

    active_id: str | None = None
    requested: CreateResponse | None = None
    """Sent, and not yet answered by ``response.created``."""
    owed: CreateResponse | None = None
    caller_speaking: bool = False
    awaiting_automatic: bool = False
    """The caller stopped speaking: the server is about to start a response of its own."""
    _behind: bool = False
    """What is owed was wished for too late for the response that the server is about to start."""
    _count: int = 0
    _taken_for: CreateResponse | None = None
    """What the running response is believed to answer, until the server says otherwise."""

    @property
    def idle(self) -> bool:
        return self.active_id is None and self.requested is None and not self.awaiting_automatic

    def owe(self, wish: CreateResponse) -> None:
        """Ask for a response as soon as one may be asked for. The newest wish replaces an older."""
        self.owed = wish
        self._behind = self.awaiting_automatic

    def forget(self) -> None:
        self.owed = None

    def answered_unasked(self) -> None:
        """The server began a response of its own: it has seen what was wished for before."""
        if not self._behind:
            self.owed = None
        self._behind = False

    def due(self) -> CreateResponse | None:
        """The command to send now, if any; it is then counted as requested."""
        if self.owed is None or not self.idle or self.caller_speaking:
            return None
        self._count += 1
        self.requested = replace(self.owed, event_id=f"create_{self._count}")
        self.owed = None
        return self.requested

    def started(self, response_id: str) -> CreateResponse | None:
        """``response.created`` came. The request that it answers, None for the server's own."""
        asked = self._taken_for = self.requested
        self.active_id = response_id
        self.requested = None
        self.awaiting_automatic = False
        return asked

    def refused(self, event_id: str | None) -> bool:
        """The server refused our request because a response is running: owe it again.

        That response may have been announced before, and been taken for the answer to our request;
        it was the server's own. True if one of our requests was refused.
        """
        refused = self.requested
        if refused is None and event_id:
            refused = self._taken_for
        if refused is None or (event_id and event_id != refused.event_id):
            return False
        if self.owed is None:
            self.owed = refused
        self.requested = self._taken_for = None
        return True

    def done(self, response_id: str) -> None:
        """``response.done`` came, perhaps without a ``response.created`` before it."""
        if self.active_id in (None, response_id):
            self.active_id = self._taken_for = None
            self.awaiting_automatic = False

    def lost(self) -> None:
        """The model's session is gone, and everything in flight with it."""
        self.active_id = self.requested = self.owed = self._taken_for = None
        self.caller_speaking = self.awaiting_automatic = False
