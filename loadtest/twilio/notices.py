"""What Twilio's debugger would show for a call: coded errors, warnings and remarks, counted."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass


class Severity(enum.Enum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Code(enum.IntEnum):
    """Twilio's error codes that the simulator raises. https://www.twilio.com/docs/api/errors"""

    HTTP_RETRIEVAL_FAILURE = 11200
    HTTP_CONNECTION_FAILURE = 11205
    DOCUMENT_PARSE_FAILURE = 12100
    SCHEMA_VALIDATION = 12200
    INVALID_CONTENT_TYPE = 12300
    INVALID_WORKFLOW_SID = 14220
    INVALID_TASK_ATTRIBUTES = 14221
    STREAM_CONNECT_TIMEOUT = 31901
    STREAM_CONNECT_REFUSED = 31902
    STREAM_TLS = 31910
    STREAM_HANDSHAKE = 31920
    STREAM_CLOSED_BY_SERVER = 31921
    STREAM_PROTOCOL = 31924
    STREAM_CONGESTION = 31930
    STREAM_BUFFER_OVERFLOW = 31931
    STREAM_BINARY_MESSAGE = 31950
    STREAM_INVALID_MESSAGE = 31951


@dataclass(slots=True)
class Notice:
    """One kind of trouble: ``message`` is that of the first time, ``count`` how often it came."""

    code: Code
    severity: Severity
    message: str
    at_ms: int
    subject: str = ""
    count: int = 1


class Notices:
    """The debugger log of one call.

    ``subject`` is the SID of the stream a notice belongs to, empty for the call itself. A stream
    has one entry per code that is counted, as Twilio logs once per stream; those of a call stand
    alone.
    """

    def __init__(self) -> None:
        self._entries: list[Notice] = []
        self._counted: dict[tuple[Code, str], Notice] = {}

    def add(
        self, code: Code, message: str, at_ms: int, *, severity: Severity, subject: str = ""
    ) -> bool:
        """Record one; True when it is a new entry and not a repetition."""
        if subject:
            known = self._counted.get((code, subject))
            if known is not None:
                known.count += 1
                return False
        notice = Notice(code, severity, message, at_ms, subject)
        self._entries.append(notice)
        if subject:
            self._counted[code, subject] = notice
        return True

    def __iter__(self) -> Iterator[Notice]:
        return iter(self._entries)
