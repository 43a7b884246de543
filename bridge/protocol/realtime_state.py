"""How bad an error is, and the phases of one session with the model, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal

from bridge.errors import RemoteProtocolError
from bridge.protocol.realtime_messages import (
    RateLimitsUpdated,
    ServerError,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    Severity,
    Unhandled,
)
from bridge.protocol.realtime_session import check_echo
from bridge.protocol.wire import shown

# Seen on live sessions that went on unharmed: races between us and the server.
_BENIGN_CODES = frozenset(
    {
        "conversation_already_has_active_response",
        "input_audio_buffer_commit_empty",
        "item_create_duplicate_item_id",
        "item_delete_invalid_item_id",
        "item_retrieve_invalid_item_id",
        "item_truncate_invalid_item_id",
        "response_cancel_not_active",
        "unsupported_content_type",
    }
)
# The same races where the code is null or the catch-all invalid_value.
_BENIGN_MESSAGES = (
    "already shorter than",
    "only model output audio messages can be truncated",
    "no active response found",
    "already has an active response",
    "expected at least 100ms",
)
_SESSION_OVER_CODES = frozenset({"session_expired"})
FATAL_CODES = frozenset(
    {
        "account_deactivated",
        "beta_api_shape_disabled",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "insufficient_quota",
        "invalid_api_key",
        "model_not_found",
    }
)
_CONFIGURATION_CODES = frozenset({"invalid_event", "invalid_value", "unknown_parameter"})


def severity(error: ServerError) -> Severity:
    """What an ``error`` event means for the session.

    ``benign``: nothing is lost. ``configuration``: we asked for something that the server does not
    take, and it did nothing. ``session_over``: it closes now, a new one works. ``fatal``: no
    session will work until the operator acts. ``other``: unknown; the session stays open.
    """
    # Codes come bare, or with their kind in front: invalid_request_error.invalid_api_key.
    code = (error.code or "").rpartition(".")[2]
    message = error.message.lower()
    if code in _BENIGN_CODES or any(words in message for words in _BENIGN_MESSAGES):
        return "benign"
    if code in _SESSION_OVER_CODES:
        return "session_over"
    if code in FATAL_CODES:
        return "fatal"
    if code in _CONFIGURATION_CODES or (error.param or "").startswith("session."):
        return "configuration"
    return "other"


class SessionPhase(Enum):
    """How far the session is. Audio may be sent when it is READY."""

    AWAIT_CREATED = "await_created"
    CONFIGURING = "configuring"
    READY = "ready"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The session is of no use, and why. ``detail`` is safe to log."""

    reason: Literal["configuration_refused", "session_over", "fatal"]
    detail: str


class _Signal(Enum):
    """What an event means to the phase."""

    CREATED = auto()
    CONFIGURED = auto()
    WRONG_ECHO = auto()
    REFUSED = auto()
    OVER = auto()
    ASIDE = auto()  # says nothing about the session itself, and may come at any time
    CONVERSATION = auto()


_P, _S = SessionPhase, _Signal

TRANSITIONS: Final[dict[tuple[SessionPhase, _Signal], SessionPhase]] = {
    (_P.AWAIT_CREATED, _S.CREATED): _P.CONFIGURING,
    (_P.AWAIT_CREATED, _S.REFUSED): _P.CLOSED,
    (_P.AWAIT_CREATED, _S.OVER): _P.CLOSED,
    (_P.AWAIT_CREATED, _S.ASIDE): _P.AWAIT_CREATED,
    (_P.CONFIGURING, _S.CONFIGURED): _P.READY,
    (_P.CONFIGURING, _S.WRONG_ECHO): _P.CLOSED,
    (_P.CONFIGURING, _S.REFUSED): _P.CLOSED,
    (_P.CONFIGURING, _S.OVER): _P.CLOSED,
    (_P.CONFIGURING, _S.ASIDE): _P.CONFIGURING,
    # Text may be put into the conversation before the echo; its answers then come before it, too.
    (_P.CONFIGURING, _S.CONVERSATION): _P.CONFIGURING,
    (_P.READY, _S.CONFIGURED): _P.READY,
    (_P.READY, _S.WRONG_ECHO): _P.CLOSED,
    # A later command was refused: whoever sent it deals with it, the session goes on.
    (_P.READY, _S.REFUSED): _P.READY,
    (_P.READY, _S.OVER): _P.CLOSED,
    (_P.READY, _S.ASIDE): _P.READY,
    (_P.READY, _S.CONVERSATION): _P.READY,
}


class SessionState:
    """The phase of one session with the model.

    On SessionCreated send ConfigureSession; send audio once ``ready``. After CLOSED whatever is
    still on its way is taken and means nothing.
    """

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase = SessionPhase.AWAIT_CREATED

    @property
    def ready(self) -> bool:
        """The configuration is in force, audio/pcmu on both sides."""
        return self.phase is SessionPhase.READY

    def receive(self, event: ServerEvent) -> SessionFailed | None:
        """Move to the phase after ``event``; the failure, if that ends the session.

        An event out of place raises RemoteProtocolError (``second_session``,
        ``event_before_session``) and changes nothing.
        """
        if self.phase is SessionPhase.CLOSED:
            return None
        signal = _signal(event)
        following = TRANSITIONS.get((self.phase, signal))
        if following is None:
            raise _out_of_place(event, signal)
        self.phase = following
        return _failure(event) if following is SessionPhase.CLOSED else None

    def close(self) -> None:
        """The socket was closed, by either side."""
        self.phase = SessionPhase.CLOSED


def _signal(event: ServerEvent) -> _Signal:
    match event:
        case SessionCreated():
            return _Signal.CREATED
        case SessionUpdated():
            return _Signal.CONFIGURED if check_echo(event) is None else _Signal.WRONG_ECHO
        case ServerError():
            return _error_signal(event)
        case Unhandled() | RateLimitsUpdated():
            return _Signal.ASIDE
        case _:
            return _Signal.CONVERSATION


def _error_signal(error: ServerError) -> _Signal:
    match severity(error):
        case "configuration":
            return _Signal.REFUSED
        case "session_over" | "fatal":
            return _Signal.OVER
        case "other" if error.kind == "invalid_request_error":
            # A code that we do not know yet; it refuses what we asked for all the same.
            return _Signal.REFUSED
        case _:
            return _Signal.ASIDE


def _failure(event: ServerEvent) -> SessionFailed | None:
    match event:
        case SessionUpdated():
            return SessionFailed("configuration_refused", check_echo(event) or "")
        case ServerError(code=code, param=param):
            level = severity(event)
            detail = f"error {shown(code or event.kind)}" + (f" at {shown(param)}" if param else "")
            if level == "session_over" or level == "fatal":
                return SessionFailed(level, detail)
            return SessionFailed("configuration_refused", detail)
        case _:
            return None


def _out_of_place(event: ServerEvent, signal: _Signal) -> RemoteProtocolError:
    if signal is _Signal.CREATED:
        return RemoteProtocolError("session.created came twice", reason="second_session")
    return RemoteProtocolError(
        f"{type(event).__name__} came before session.created", reason="event_before_session"
    )
