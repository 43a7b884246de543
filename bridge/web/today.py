"""Today's flow: the TwiML that takes a call to whatever answered before there was an AI.

Needs no store, no model and no network, so that it can be answered when all of them are gone.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.config import Settings
from bridge.store.ledger import CallOpening, Entry
from bridge.web import documents


@dataclass(frozen=True, slots=True)
class Origins:
    """Where a call came from, as far as that decides where it goes back to."""

    entry: Entry
    account_sid: str | None
    flow_sid: str | None

    @classmethod
    def of(cls, opening: CallOpening) -> Origins:
        return cls(opening.entry, opening.account_sid, opening.flow_sid)


class TodaysFlow:
    def __init__(self, settings: Settings) -> None:
        self._today = settings.today
        self._account_sid = settings.twilio.account_sid

    def origins(self, account_sid: str | None, flow_sid: str | None) -> Origins:
        """Of a webhook: ``flow_sid`` is the flow that it names, if any."""
        if flow_sid is None and self._today.entry == "studio":
            flow_sid = self._today.studio_flow_sid
        entry: Entry = "number" if flow_sid is None else "studio"
        return Origins(entry, account_sid or self._account_sid, flow_sid)

    def url(self, origins: Origins, reason: str) -> str | None:
        """A call that a Studio flow waits for returns to it; any other goes where its number led.

        None where the operator named no such place.
        """
        account = origins.account_sid
        if account and origins.flow_sid:
            outcome = {"outcome": "fallback", "reason": reason}
            return self._today.return_url(account, origins.flow_sid, outcome)
        if self._today.fallback_url is not None:
            return self._today.fallback_url
        if account and self._today.studio_flow_sid is not None:
            return self._today.trigger_url(account, self._today.studio_flow_sid)
        return None

    def twiml(self, origins: Origins, reason: str) -> str:
        return documents.move(self.url(origins, reason))
