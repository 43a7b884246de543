"""Made-up calls in any number, for the benches."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Table, insert

from bridge.call.effects import Note
from bridge.store.ledger import CallOpening, StoredDecision
from bridge.store.privacy import DAY_S
from bridge.store.rows import LedgerRows
from bridge.store.store import Store
from bridge.store.tables import calls, decisions, hops, timeline, turns, usage

TURNS_A_CALL = 10
TENANTS = ("acme", "clinic", "salon")
INTENTS = ("billing", "schedule", "emergency", "question")
ROUTES = ("flex", "studio_return", "callback_task", "resolve")
TWIML = "<Response><Enqueue><Task>" + "x" * 3500 + "</Task></Enqueue></Response>"
ENVELOPE = {"summary": "y" * 400, "slots": {"name": "z" * 40}, "confidence": 0.9}


def turn_notes(turn: int) -> Iterator[Note]:
    """What one exchange of words leaves in the record."""
    yield Note("caller_speaks", {"item": f"i{turn}"})
    yield Note("caller_said", {"item": f"i{turn}"}, "the caller says a sentence of this length")
    yield Note("assistant_said", {"item": f"a{turn}"}, "and the assistant answers with another one")
    yield Note("turn", {"turn": turn, "first_model_audio_ms": 640.0, "first_audio_out_ms": 910.0})


async def fill(store: Store, wanted_turns: int) -> list[str]:
    """Calls spread over 30 days, with ``wanted_turns`` turns and their words. Their SIDs."""
    rng = random.Random(1)  # noqa: S311 - the same data each time
    rows = LedgerRows(store.cipher, store.number_hash)
    now = time.time()
    sids: list[str] = []
    while len(sids) * TURNS_A_CALL < wanted_turns:
        openings = [
            CallOpening(
                f"CA{rng.getrandbits(128):032x}",
                "AC0",
                rng.choice(TENANTS),
                f"+1555{rng.randrange(10**7):07}",
                "+15550100002",
                "number",
                now - rng.random() * 30 * DAY_S,
            )
            for _ in range(500)
        ]
        batch = _stored(rows, store, openings, rng)
        await store.database.write(partial(_insert, batch=batch), durable=False, within_s=60)
        sids += [opening.call_sid for opening in openings]
    return sids


def _insert(connection: Connection, batch: list[tuple[Table, list[dict[str, Any]]]]) -> None:
    for table, found in batch:
        connection.execute(insert(table), found)


def _stored(
    rows: LedgerRows, store: Store, openings: Sequence[CallOpening], rng: random.Random
) -> list[tuple[Any, list[dict[str, Any]]]]:
    found: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (calls, hops, decisions, timeline, turns, usage)
    }
    for opening in openings:
        intent, route = rng.choice(INTENTS), rng.choice(ROUTES)
        decided = StoredDecision(
            opening.call_sid, 0, route, intent, "model", TWIML, opening.started_at, {}, ENVELOPE
        )
        ended = {"ended_at": opening.started_at + 60, "end_status": "completed", "duration_s": 60}
        shown = {"intent": intent, "confidence": 0.9, "route": route, "reason": "model"}
        found[calls].append(rows.call(opening) | ended | shown)
        found[hops].append(rows.hop(opening, None) | {"used": True})
        found[decisions].append(rows.decision(decided))
        found[usage].append(_usage_row(opening.call_sid))
        for turn in range(TURNS_A_CALL):
            found[timeline] += _timeline_rows(opening.call_sid, turn, store)
            found[turns].append(_turn_row(opening.call_sid, turn, rng))
    return list(found.items())


def _timeline_rows(sid: str, turn: int, store: Store) -> Iterator[dict[str, Any]]:
    spoken = [note for note in turn_notes(turn) if note.kind != "turn"]
    for at, note in enumerate(spoken):
        yield {
            "call_sid": sid,
            "hop": 0,
            "seq": turn * len(spoken) + at,
            "at_ms": turn * 6000,
            "kind": note.kind,
            "fields": "{}",
            "words": note.words and store.cipher.encrypt(note.words),
        }


def _turn_row(sid: str, turn: int, rng: random.Random) -> dict[str, Any]:
    return {
        "call_sid": sid,
        "hop": 0,
        "turn": turn,
        "at_ms": turn * 6000,
        "first_model_audio_ms": rng.gauss(650, 100),
        "first_audio_out_ms": rng.gauss(950, 120),
        "bridge_ms": rng.random(),
        "used_tool": False,
    }


def _usage_row(sid: str) -> dict[str, Any]:
    numbers = {column.name: 0 for column in usage.columns if column.name not in ("call_sid", "hop")}
    names = {"model": "gpt-realtime-2.1", "instructions": "v1", "transcription_model": None}
    return {"call_sid": sid, "hop": 0, **numbers, **names, "prices_from": "2026-11-20"}
