"""The ledger's contract: who called, on which stream token, and the one decision of each hop.

A hop is one passage of a call through this system; a call that comes back is on its next hop. The
key of a decision is the CallSid plus the hop, and the first one written under it stands for good.
Every implementation passes the same tests (tests/bridge/store).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from bridge.errors import TriageBridgeError

Entry: TypeAlias = Literal["number", "studio", "bin"]
"""How it reached us: our webhook on the number, a TwiML Redirect widget, a static TwiML Bin."""

RefusalReason: TypeAlias = Literal[
    "unknown_token", "used_token", "expired_token", "call_mismatch", "account_mismatch"
]


class LedgerUnavailableError(TriageBridgeError):
    """The ledger cannot take or give this now. New calls go to today's flow.

    ``reason`` is a snake_case word: ``locked``, ``full``, ``read_only``, ``gone``, ``slow``, ...
    """

    def __init__(self, message: str, reason: str = "unavailable") -> None:
        self.reason = reason
        super().__init__(message)


class UnknownCallError(TriageBridgeError):
    """The ledger holds no such call: never opened here, or expired."""


@dataclass(frozen=True, slots=True)
class CallOpening:
    """A call as it entered. Given to ``open_call``, ``hop`` is the lowest it may get."""

    call_sid: str
    account_sid: str
    tenant: str
    from_number: str
    to_number: str
    entry: Entry
    started_at: float
    """Unix seconds."""
    flow_sid: str | None = None
    """The Studio flow that sent the call and waits for its return."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What travels through untouched: ``flex_*`` and ``ivr_*``."""
    hop: int = 0
    side_reason: str | None = None
    """Why the AI takes it, as the rollout put it."""


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """Where one hop goes, with its TwiML as rendered then: whoever is asked answers the same."""

    call_sid: str
    hop: int
    route: str
    intent: str | None
    reason: str
    twiml: str
    decided_at: float
    """Unix seconds."""
    decision: Mapping[str, Any] = field(default_factory=dict)
    """A JSON object."""
    envelope: Mapping[str, Any] = field(default_factory=dict)
    """What travels along, a JSON object."""


@dataclass(frozen=True, slots=True)
class SideEffect:
    """Something to be done by REST after a decision: delivered once, by whichever process lives.

    ``key`` tells several of one kind on one hop apart; ``payload`` is a JSON object.
    """

    kind: str
    """callback_task, studio_execution, sms, email, look_back."""
    payload: Mapping[str, Any]
    key: str = ""
    delay_s: float = 0.0
    deliver_within_s: float = 24 * 3600.0
    """From now on; past it the effect is a dead letter."""


@dataclass(frozen=True, slots=True)
class HandoverReport:
    """What Twilio said of a handover and what it was answered.

    ``key`` names it on its hop (``step-0``, ``recording-RE...``): the first one under it stands.
    """

    call_sid: str
    hop: int
    key: str
    status: str
    """Twilio's word for how it went."""
    at: float
    """Unix seconds."""
    twiml: str = ""
    """What the request was answered with; empty where it wants no document."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A token was not accepted; nothing was changed."""

    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How Twilio says the call ended."""

    call_sid: str
    status: str
    """completed, busy, failed, no-answer or canceled; unknown where Twilio knows no such call."""
    ended_at: float
    duration_s: int | None = None


class Ledger(Protocol):
    """Safe to use from many processes and tasks at once.

    Any method may raise ``LedgerUnavailableError``.
    """

    async def open_call(
        self, opening: CallOpening, idempotency_key: str | None = None
    ) -> CallOpening:
        """Record a call that entered and return what stands, with its hop.

        The same ``idempotency_key`` gives what it gave before. Without one, a hop that was never
        used (no token redeemed, nothing decided) is given again, since Twilio may repeat a webhook;
        otherwise the next hop opens. A ``bin`` opening counts as used at once.
        """
        ...

    async def mint_token(self, call_sid: str, ttl_s: float) -> str:
        """A new single-use token for the call's last hop. Raises ``UnknownCallError``."""
        ...

    async def redeem_token(
        self, token: str, call_sid: str, account_sid: str
    ) -> CallOpening | Refusal:
        """Use a token up: true once, in time, and only for the call it was minted for."""
        ...

    async def token_call(self, token: str) -> CallOpening | None:
        """The hop a token was minted for, whether or not the token is used up or expired."""
        ...

    async def opening(self, call_sid: str) -> CallOpening | None:
        """The last hop of a call."""
        ...

    async def record_decision(
        self, decision: StoredDecision, effects: Sequence[SideEffect] = ()
    ) -> StoredDecision:
        """Write the decision of one hop and return the one that stands: the first.

        ``effects`` are written with it, all or nothing, and only if this decision is the one that
        stands. Raises ``UnknownCallError`` for a hop that was never opened.
        """
        ...

    async def add_effects(self, call_sid: str, hop: int, effects: Sequence[SideEffect]) -> int:
        """Side effects that follow later. How many were new: kind and key are unique on a hop.

        Raises ``UnknownCallError`` for a hop that was never opened.
        """
        ...

    async def decision(self, call_sid: str, hop: int | None = None) -> StoredDecision | None:
        """What was decided for that hop; without ``hop``, for the call's last one."""
        ...

    async def report(
        self, report: HandoverReport, effects: Sequence[SideEffect] = ()
    ) -> HandoverReport:
        """Write what Twilio reported of a handover and return what stands: the first.

        ``effects`` are written with it, all or nothing, and only if this report is the one that
        stands. Raises ``UnknownCallError`` for a hop that was never opened.
        """
        ...

    async def reports(self, call_sid: str, hop: int) -> Sequence[HandoverReport]:
        """Of one hop, in the order they came."""
        ...

    async def close_call(self, end: CallEnd) -> bool:
        """The call is over; the first report stands.

        False if no such call is held, or if it was closed before.
        """
        ...
