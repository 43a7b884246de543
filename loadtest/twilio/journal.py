"""One call's record as it is written: events and debugger notices, on the same clock."""

from __future__ import annotations

import time

from loadtest.twilio.notices import Code, Notices, Severity
from loadtest.twilio.timeline import EventKind, Timeline


class Journal:
    """Where everything that happens in a call is told, once."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.notices = Notices()

    def event(self, kind: EventKind, at: float | None = None, **data: object) -> None:
        """Something happened, now unless ``at`` (monotonic seconds) says otherwise."""
        self.timeline.add(kind, time.monotonic() if at is None else at, **data)

    def error(self, code: Code, message: str, subject: str = "") -> None:
        """The server's fault; it would show red in Twilio's debugger."""
        self._notice(code, message, Severity.ERROR, subject)

    def warning(self, code: Code, message: str, subject: str = "") -> None:
        self._notice(code, message, Severity.WARNING, subject)

    def info(self, code: Code, message: str, subject: str = "") -> None:
        """Logged by Twilio though nothing is wrong."""
        self._notice(code, message, Severity.INFO, subject)

    def _notice(self, code: Code, message: str, severity: Severity, subject: str) -> None:
        now = time.monotonic()
        at_ms = self.timeline.ms(now)
        if self.notices.add(code, message, at_ms, severity=severity, subject=subject):
            self.event("notice", now, code=int(code), severity=severity.value, message=message)
