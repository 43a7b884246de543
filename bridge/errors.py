"""Whose fault it was: ours, the peer's, or the operator's."""

from __future__ import annotations


class TriageBridgeError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigurationError(TriageBridgeError):
    """The operator's fault: settings or files. Carries every fault found, not only the first."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class LocalProtocolError(TriageBridgeError):
    """Our fault: we tried to send what the protocol does not allow."""


class RemoteProtocolError(TriageBridgeError):
    """The peer's fault: it sent what the protocol does not allow.

    ``reason`` is a short snake_case name that is safe to log; the message names the field, what
    came (its type, never audio or words) and what was expected.
    """

    def __init__(self, message: str, *, reason: str = "bad_message") -> None:
        self.reason = reason
        super().__init__(message)
