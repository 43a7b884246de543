"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _facts()
    _data_keys()
    _calls()
    _hops()
    _tokens()
    _decisions()
    _reports()
    _outbox()
    _timeline()
    _turns()
    _usage()
    _status_events()


def _facts() -> None:
    op.create_table(
        "facts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _data_keys() -> None:
    op.create_table(
        "data_keys",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("first_used_at", sa.Float(), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("account_sid", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("entry", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("side_reason", sa.String(), nullable=True),
        sa.Column("caller_hash", sa.String(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("called", sa.String(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("intent", sa.String(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("route", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("end_status", sa.String(), nullable=True),
        sa.Column("duration_s", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("call_sid"),
    )
    op.create_index("ix_calls_caller", "calls", ["caller_hash"], unique=False)
    op.create_index("ix_calls_intent_started", "calls", ["intent", "started_at"], unique=False)
    op.create_index("ix_calls_route_started", "calls", ["route", "started_at"], unique=False)
    op.create_index("ix_calls_started", "calls", ["started_at"], unique=False)
    op.create_index("ix_calls_tenant_started", "calls", ["tenant", "started_at"], unique=False)


def _hops() -> None:
    op.create_table(
        "hops",
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("opening", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_sid", "hop"),
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["call_sid", "hop"], ["hops.call_sid", "hops.hop"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_tokens_hop", "tokens", ["call_sid", "hop"], unique=False)


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("intent", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("decided_at", sa.Float(), nullable=False),
        sa.Column("twiml", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_sid", "hop"], ["hops.call_sid", "hops.hop"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_sid", "hop"),
    )


def _reports() -> None:
    op.create_table(
        "reports",
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("twiml", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_sid", "hop"], ["hops.call_sid", "hops.hop"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_sid", "hop", "key"),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("in_doubt", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("deadline_at", sa.Float(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("result", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("call_sid", "hop", "kind", "key", name="uq_outbox_effect"),
    )
    op.create_index("ix_outbox_state_due", "outbox", ["state", "due_at"], unique=False)


def _timeline() -> None:
    op.create_table(
        "timeline",
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_sid", "hop", "seq"),
        sqlite_with_rowid=False,
    )


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.Integer(), nullable=False),
        sa.Column("first_model_audio_ms", sa.Float(), nullable=True),
        sa.Column("first_audio_out_ms", sa.Float(), nullable=True),
        sa.Column("bridge_ms", sa.Float(), nullable=True),
        sa.Column("used_tool", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_sid", "hop", "turn"),
        sqlite_with_rowid=False,
    )


def _usage() -> None:
    op.create_table(
        "usage",
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("instructions", sa.String(), nullable=False),
        sa.Column("responses", sa.Integer(), nullable=False),
        sa.Column("text_in", sa.Integer(), nullable=False),
        sa.Column("audio_in", sa.Integer(), nullable=False),
        sa.Column("cached_text_in", sa.Integer(), nullable=False),
        sa.Column("cached_audio_in", sa.Integer(), nullable=False),
        sa.Column("text_out", sa.Integer(), nullable=False),
        sa.Column("audio_out", sa.Integer(), nullable=False),
        sa.Column("transcription_model", sa.String(), nullable=True),
        sa.Column("transcribed_s", sa.Float(), nullable=False),
        sa.Column("stream_s", sa.Float(), nullable=False),
        sa.Column("overlap_ms", sa.Float(), nullable=True),
        sa.Column("entries_lost", sa.Integer(), nullable=False),
        sa.Column("prices_from", sa.String(), nullable=True),
        sa.Column("model_usd", sa.Float(), nullable=True),
        sa.Column("transcription_usd", sa.Float(), nullable=True),
        sa.Column("twilio_usd", sa.Float(), nullable=True),
        sa.Column("total_usd", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_sid", "hop"),
    )


def _status_events() -> None:
    op.create_table(
        "status_events",
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["call_sid"], ["calls.call_sid"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_sid", "at", "source", "status"),
        sqlite_with_rowid=False,
    )
