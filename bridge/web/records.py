"""What the webhooks have to tell the record of a call. Nobody waits for it to be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bridge.store.ledger import CallOpening


class Records(Protocol):
    """Never raises."""

    def passed_on(self, opening: CallOpening, reason: str) -> None:
        """A call that the AI does not take."""
        ...

    def reported(
        self, opening: CallOpening, source: str, status: str, fields: Mapping[str, str]
    ) -> None:
        """What Twilio says of a call, or of something that belongs to it."""
        ...


class NoRecords:
    """Where calls are only kept in memory."""

    def passed_on(self, opening: CallOpening, reason: str) -> None: ...

    def reported(
        self, opening: CallOpening, source: str, status: str, fields: Mapping[str, str]
    ) -> None: ...
