"""What a load test may listen to, and mark, in a simulated session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from .callbook import KnownCall
from .record import ResponseRecord, SessionRecord


class SessionTap(Protocol):
    """Told as things happen, in the event loop's thread. The clock is the tap's own affair."""

    def appended(self, audio: bytes) -> None:
        """One append of the client's, decoded, as it arrived."""

    def configured(self) -> None:
        """From here on the session takes audio as it comes."""

    def speech_stopped(self) -> None:
        """The event is about to be sent."""

    def known_call(self) -> KnownCall | None:
        """Whose call this is, asked when the first turn is over; None where nobody can say."""

    def speaking(self, ulaw: bytes, response: ResponseRecord) -> bytes:
        """The whole mu-law audio of a spoken piece: what is returned is sent instead."""

    def spoke(self, byte_count: int, response: ResponseRecord) -> None:
        """So much of what ``speaking`` returned was sent now."""

    def answered(self, response: ResponseRecord) -> None:
        """The response is over, however it ended."""

    def closed(self) -> None:
        """The connection goes, or is made dead; told again when the socket is gone."""


TapMaker: TypeAlias = Callable[[SessionRecord], SessionTap]
