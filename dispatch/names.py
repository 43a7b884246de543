"""Names with a meaning of their own: set by Twilio, reserved by Studio, always sent by us."""

from __future__ import annotations

# Set by Twilio on the Task of a live call; a key of ours with such a name would be overwritten.
_CALL_PARTS = ("city", "state", "zip", "country")
ADDED_BY_TWILIO = frozenset(
    {
        "account_sid",
        "api_version",
        "call_sid",
        "call_status",
        "called",
        "caller",
        "direction",
        "from",
        "to",
        "worker_call_sid",
        *(f"{side}_{part}" for side in ("from", "to", "caller", "called") for part in _CALL_PARTS),
    }
)
# Used by Studio's own protocol on the addresses we send a call back to.
STUDIO_WORDS = frozenset({"FlowEvent", "Trigger"})

# Our own attribute names (see attributes.py); a slot must not overwrite them. `name` and `callback`
# are meant to be captured.
RESERVED_ATTRIBUTES = frozenset(
    {
        "ai_confidence",
        "business",
        "called_number",
        "caller_number",
        "context_url",
        "conversations",
        "customers",
        "cut",
        "entry",
        "handedOff",
        "handoffLanguage",
        "handoffReason",
        "handoffSentiment",
        "handoffSummary",
        "handoffTimestamp",
        "hops",
        "intent",
        "language",
        "missing",
        "priority",
        "queue",
        "reference",
        "sentiment",
        "summary",
        "task_key",
        "triage_call_sid",
        "turns",
        "urgency",
    }
)
