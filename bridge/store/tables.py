"""The tables. What is marked sealed is encrypted where the operator gave keys (``cipher.py``).

Times are Unix seconds. Everything that belongs to a call goes when its row in ``calls`` goes.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

_RowId = BigInteger().with_variant(Integer, "sqlite")


def _call_sid(*, primary_key: bool = False) -> Column[str]:
    return Column(
        "call_sid",
        String,
        ForeignKey("calls.call_sid", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


# What the database knows of itself: the key of number look-ups, when it was purged last.
facts = Table(
    "facts",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

# Every key that ever wrote, with a value that only it can read.
data_keys = Table(
    "data_keys",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("first_used_at", Float, nullable=False),
    Column("proof", Text, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("call_sid", String, primary_key=True),
    Column("account_sid", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("entry", String, nullable=False),
    Column("side", String, nullable=False),  # ai or today
    Column("side_reason", String),  # why that side
    Column("caller_hash", String, nullable=False),
    Column("caller", Text, nullable=False),  # sealed
    Column("called", String, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("day", Integer, nullable=False),  # of started_at: days since 1970 in UTC
    # The last hop's decision again, so that lists filter without joining.
    Column("intent", String),
    Column("confidence", Float),
    Column("route", String),
    Column("reason", String),
    Column("ended_at", Float),
    Column("end_status", String),
    Column("duration_s", Integer),
    Index("ix_calls_started", "started_at"),
    Index("ix_calls_tenant_started", "tenant", "started_at"),
    Index("ix_calls_intent_started", "intent", "started_at"),
    Index("ix_calls_route_started", "route", "started_at"),
    Index("ix_calls_caller", "caller_hash"),
)

hops = Table(
    "hops",
    metadata,
    _call_sid(primary_key=True),
    Column("hop", Integer, primary_key=True),
    Column("idempotency_key", String),
    Column("used", Boolean, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("opening", Text, nullable=False),  # sealed
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("call_sid", String, nullable=False),
    Column("hop", Integer, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
    ForeignKeyConstraint(["call_sid", "hop"], ["hops.call_sid", "hops.hop"], ondelete="CASCADE"),
    Index("ix_tokens_hop", "call_sid", "hop"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("call_sid", String, primary_key=True),
    Column("hop", Integer, primary_key=True),
    Column("route", String, nullable=False),
    Column("intent", String),
    Column("reason", String, nullable=False),
    Column("confidence", Float),
    Column("decided_at", Float, nullable=False),
    Column("twiml", Text, nullable=False),  # sealed
    Column("decision", Text, nullable=False),  # sealed
    Column("envelope", Text, nullable=False),  # sealed
    ForeignKeyConstraint(["call_sid", "hop"], ["hops.call_sid", "hops.hop"], ondelete="CASCADE"),
)

# What Twilio said of handovers: steps that failed or held, recordings, transcriptions.
reports = Table(
    "reports",
    metadata,
    Column("call_sid", String, primary_key=True),
    Column("hop", Integer, primary_key=True),
    Column("key", String, primary_key=True),
    Column("status", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("twiml", Text, nullable=False),  # sealed
    Column("fields", Text, nullable=False),  # sealed
    ForeignKeyConstraint(["call_sid", "hop"], ["hops.call_sid", "hops.hop"], ondelete="CASCADE"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    _call_sid(),
    Column("hop", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("payload", Text, nullable=False),  # sealed
    Column("state", String, nullable=False),  # pending, done, dead or dropped
    Column("attempts", Integer, nullable=False),
    Column("in_doubt", Boolean, nullable=False),  # an attempt may have been carried out
    Column("created_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("deadline_at", Float, nullable=False),
    Column("lease_owner", String),
    Column("finished_at", Float),
    Column("result", String),
    Column("error", String),
    UniqueConstraint("call_sid", "hop", "kind", "key", name="uq_outbox_effect"),
    Index("ix_outbox_state_due", "state", "due_at"),
)

timeline = Table(
    "timeline",
    metadata,
    _call_sid(primary_key=True),
    Column("hop", Integer, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at_ms", Integer, nullable=False),  # since the stream's start
    Column("kind", String, nullable=False),
    Column("fields", Text, nullable=False),  # a JSON object
    Column("words", Text),  # sealed
    sqlite_with_rowid=False,
)

turns = Table(
    "turns",
    metadata,
    _call_sid(primary_key=True),
    Column("hop", Integer, primary_key=True),
    Column("turn", Integer, primary_key=True),
    Column("at_ms", Integer, nullable=False),  # when the answer began to play
    Column("first_model_audio_ms", Float),
    Column("first_audio_out_ms", Float),
    Column("bridge_ms", Float),
    Column("used_tool", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

usage = Table(
    "usage",
    metadata,
    _call_sid(primary_key=True),
    Column("hop", Integer, primary_key=True),
    Column("model", String, nullable=False),
    Column("instructions", String, nullable=False),  # their version
    Column("responses", Integer, nullable=False),
    Column("text_in", Integer, nullable=False),
    Column("audio_in", Integer, nullable=False),
    Column("cached_text_in", Integer, nullable=False),
    Column("cached_audio_in", Integer, nullable=False),
    Column("text_out", Integer, nullable=False),
    Column("audio_out", Integer, nullable=False),
    Column("transcription_model", String),
    Column("transcribed_s", Float, nullable=False),
    Column("stream_s", Float, nullable=False),
    Column("overlap_ms", Float),  # both ends open after the decision: billed twice
    Column("entries_lost", Integer, nullable=False),
    Column("prices_from", String),
    Column("model_usd", Float),
    Column("transcription_usd", Float),
    Column("twilio_usd", Float),
    Column("total_usd", Float),  # null: something in it has no known price
)

status_events = Table(
    "status_events",
    metadata,
    _call_sid(primary_key=True),
    Column("at", Float, primary_key=True),
    Column("source", String, primary_key=True),  # call, stream, task, dial, recording, check
    Column("status", String, primary_key=True),
    Column("fields", Text, nullable=False),  # a JSON object
    sqlite_with_rowid=False,
)

# --- rollouts: nothing of any call ------------------------------------------------------------

rollouts = Table(
    "rollouts",
    metadata,
    Column("tenant", String, primary_key=True),  # * for every tenant
    Column("version", Integer, nullable=False),
    Column("killed", Boolean, nullable=False),
    Column("shares", Text, nullable=False),  # a JSON object: tenths of a percent by called number
    Column("changed_at", Float, nullable=False),
)

rollout_changes = Table(
    "rollout_changes",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("action", String, nullable=False),
    Column("who", String, nullable=False),
    Column("why", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("before", Text, nullable=False),  # JSON objects
    Column("after", Text, nullable=False),
    Index("ix_rollout_changes_at", "at"),
)

# What the triage files of serving processes say.
rollout_plans = Table(
    "rollout_plans",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("plan", Text, nullable=False),  # a JSON object
)

# What each process saw of the AI side, for the guard of all of them.
rollout_counts = Table(
    "rollout_counts",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("at", Float, primary_key=True),
    Column("process", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("count", Integer, nullable=False),
    Index("ix_rollout_counts_at", "at"),
)
