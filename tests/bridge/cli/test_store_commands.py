"""Looking at calls, side effects and figures from the command line; purging and forgetting."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from bridge.call.effects import Note
from bridge.call.usage import UsageMeter
from bridge.store.ledger import CallEnd, CallOpening, HandoverReport, SideEffect, StoredDecision
from bridge.store.prices import read_prices
from bridge.store.recorder import CallRecorder, CallSummary
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import open_store
from tests.bridge.cli.conftest import Run

CALLER = "+15550100007"
STARTED = dt.datetime(2026, 11, 21, 9, 0, tzinfo=dt.UTC).timestamp()
USED_LINE = (
    "used gpt-realtime-2.1: 3 responses, text 2000 in and 0 out, audio 0 in and 1000 out,"
    " of what went in 1000 cached; stream 61.0 s"
)
COST_LINE = (
    "  cost $0.0772: model $0.0684, transcription $0.0000, Twilio $0.0088, prices of 2026-11-20"
)
USED = UsageMeter(text_in=2000, cached_text_in=1000, audio_out=1000, responses=3)


def sid(number: int) -> str:
    return f"CA{number:032x}"


async def fill(url: str, started: float, tenant: str = "acme", number: int = 1) -> None:
    store = await open_store(url, clock=lambda: started)
    ledger = SqlLedger(store, lambda: started, str)
    opening = CallOpening(
        sid(number), "AC1", tenant, CALLER, "+15550100002", "number", started, None, {}
    )
    await ledger.open_call(opening)
    envelope = {
        "confidence": 0.91,
        "summary": "Wants a copy of the March invoice.",
        "slots": {"callback": "+15550100008"},
        "missing": ["name"],
    }
    decision = StoredDecision(
        sid(number), 0, "flex", "billing", "route_requested", "<x/>", started + 30, {}, envelope
    )
    await ledger.record_decision(decision, [SideEffect("sms", {"to": CALLER}, key="1")])
    await ledger.report(HandoverReport(sid(number), 0, "step-0", "queue-full", started + 40))
    await ledger.close_call(CallEnd(sid(number), "completed", started + 63, 63))
    recorder = CallRecorder(store, read_prices(), clock=lambda: started)
    record = recorder.opened(opening, now=0.0)
    for at, note in (
        (0.25, Note("greeting", {"cached": True}, "Hello, how can I help?")),
        (2.0, Note("caller_speaks", {"item": "i1"})),
        (4.0, Note("turn", {"turn": 1, "first_model_audio_ms": 650, "first_audio_out_ms": 912})),
        (4.5, Note("caller_said", {"item": "i1"}, f"My bill is wrong, call {CALLER} now\x1b[2J")),
        (5.0, Note("barge_in", {"heard_ms": 400, "sent_ms": 900})),
    ):
        record.note(at, note)
    recorder.status(sid(number), "dial", "no-answer", {"number": 1})
    record.closed(CallSummary("gpt-realtime-2.1", USED, stream_s=61.0))
    await recorder.flush()
    await store.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/calls.db"
    asyncio.run(fill(url, STARTED))
    return url


def test_calls_are_listed_with_masked_numbers(run: Run, url: str) -> None:
    ended = run("calls", DATABASE_URL=url)
    head, row = ended.out.splitlines()
    assert re.split(" {2,}", head)[:4] == ["STARTED (UTC)", "CALL", "TENANT", "CALLER"]
    assert re.split(" {2,}", row) == [
        "2026-11-21 09:00:00",
        sid(1),
        "acme",
        "…07",
        "number",
        "billing",
        "0.91",
        "flex",
        "route_requested",
        "completed",
        "63",
        "1",
        "$0.0772",
    ]


def test_a_list_in_json_can_be_filtered_and_revealed(run: Run, url: str) -> None:
    wanted = ("--tenant", "acme", "--intent", "billing", "--outcome", "flex", "--day", "2026-11-21")
    ended = run("calls", *wanted, "--json", "--reveal", DATABASE_URL=url)
    (line,) = orjson.loads(ended.out)
    assert (line["call_sid"], line["caller"]) == (sid(1), CALLER)
    assert run("calls", "--day", "2026-11-20", DATABASE_URL=url).out == "no calls\n"


def test_costs_are_unknown_only_of_calls_that_had_a_conversation(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/costs.db"

    async def three_calls() -> None:
        store = await open_store(url, clock=time.time)
        ledger = SqlLedger(store, time.time, str)
        recorder = CallRecorder(store, read_prices(), clock=time.time)
        for number, model in ((1, "gpt-realtime-2.1"), (2, "unheard-of"), (3, None)):
            opening = CallOpening(sid(number), "AC1", "acme", CALLER, "", "number", STARTED, None)
            await ledger.open_call(opening)
            if model is not None:
                recorder.opened(opening, 0.0).closed(CallSummary(model, USED, stream_s=61.0))
        await ledger.close_call(CallEnd(sid(3), "no-answer", STARTED + 9, 0))
        await recorder.flush()
        await store.close()

    asyncio.run(three_calls())
    _, *rows = run("calls", DATABASE_URL=url).out.splitlines()
    assert {row.split()[2]: row.split()[-1] for row in rows} == {
        sid(1): "$0.0772",
        sid(2): "unknown",
        sid(3): "-",
    }


def test_a_number_is_looked_for_in_full_or_refused(run: Run, url: str) -> None:
    found = run("calls", "--caller", "+1 (555) 010-0007", DATABASE_URL=url)
    assert sid(1) in found.out
    assert run("calls", "--caller", "sip:a@example.com", DATABASE_URL=url).out == "no calls\n"
    for number in ("15550100007", "abc", "+1555o100007"):
        refused = run("calls", "--caller", number, DATABASE_URL=url)
        assert (refused.status, refused.out) == (2, "")
        assert "'--caller': expected a number in full, as in +15550100001" in refused.err


def test_a_call_is_shown_as_it_went(run: Run, url: str) -> None:
    ended = run("calls", "show", sid(1), DATABASE_URL=url)
    assert ended.out.splitlines() == [
        f"call {sid(1)}",
        "  from …07 to +15550100002, acme, by number",
        "  started 2026-11-21 09:00:00 UTC, completed after 63 s",
        "      0.25 s  assistant     Hello, how can I help?",
        "      2.00 s  caller        My bill is wrong, call … now [2J",
        "      4.00 s  turn 1        first model audio 650 ms, first audio out 912 ms",
        "      5.00 s  barge_in      heard_ms 400, sent_ms 900",
        "decision 0: flex for billing (route_requested, confidence 0.91), 2026-11-21 09:00:30 UTC",
        "  summary: Wants a copy of the March invoice.",
        "  callback: (captured)",
        "  missing: name",
        "handover 0 step-0: queue-full, 2026-11-21 09:00:40 UTC",
        "sms pending after 0 attempts",
        USED_LINE,
        COST_LINE,
        "dial no-answer (number 1), 2026-11-21 09:00:00 UTC",
    ]


def test_a_call_in_json_keeps_what_was_captured_to_itself_unless_revealed(
    run: Run, url: str
) -> None:
    masked = run("calls", "show", sid(1), "--json", DATABASE_URL=url)
    assert orjson.loads(masked.out)["call"]["caller"] == "…07"
    assert not [number for number in (CALLER, "+15550100008") if number in masked.out]
    revealed = run("export", sid(1), DATABASE_URL=url)
    assert orjson.loads(revealed.out)["decisions"][0]["envelope"]["slots"] == {
        "callback": "+15550100008"
    }


@pytest.mark.parametrize("words", [("calls", "show"), ("export",)], ids=" ".join)
def test_a_call_that_is_not_there_is_an_error(words: tuple[str, ...], run: Run, url: str) -> None:
    ended = run(*words, "CA404", DATABASE_URL=url)
    assert (ended.status, ended.out, ended.err) == (1, "", "no call CA404\n")


def test_figures_of_the_last_days(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/today.db"
    now = time.time()
    asyncio.run(fill(url, now))
    day = dt.datetime.fromtimestamp(now, dt.UTC).date().isoformat()
    _, row = run("stats", "--days", "2", DATABASE_URL=url).out.splitlines()
    assert row.split()[1:6] == ["acme", "1", "100.0%", "650/650", "912/912"]
    assert row.split()[0] == day
    (figures,) = orjson.loads(run("stats", "--json", DATABASE_URL=url).out)
    assert (figures["outcomes"], figures["taken_share"]) == ({"flex": 1}, 1.0)


def test_a_side_effect_is_listed_dropped_and_retried(run: Run, url: str) -> None:
    (entry,) = orjson.loads(run("outbox", "list", "--json", DATABASE_URL=url).out)
    number = str(entry["id"])
    assert run("outbox", "retry", number, DATABASE_URL=url).status == 1
    assert run("outbox", "drop", number, DATABASE_URL=url).out == f"{number} is dropped\n"
    assert run("outbox", "list", DATABASE_URL=url).out == "nothing there\n"
    assert run("outbox", "retry", number, DATABASE_URL=url).out == f"{number} is due again\n"
    head, row = run("outbox", "list", DATABASE_URL=url).out.splitlines()
    assert head.split()[:4] == ["ID", "CALL", "HOP", "KIND"]
    assert row.split()[:6] == [number, sid(1), "0", "sms", "pending", "0"]


def test_calls_past_their_retention_are_purged_in_every_database(
    run: Run, url: str, tmp_path: Path
) -> None:
    clinic = f"sqlite:///{tmp_path}/clinic.db"
    now = time.time()
    for number, (age_days, tenant, where) in enumerate(
        [(40, "acme", url), (10, "acme", url), (10, "clinic", clinic)], 2
    ):
        asyncio.run(fill(where, now - age_days * 86_400, tenant, number))
    environ = {"DATABASE_URL": url, "DATABASE_URL_CLINIC": clinic, "RETENTION_DAYS": "30"}
    environ |= {"RETENTION_DAYS_CLINIC": "7"}
    old = {"DATABASE_URL": url, "RETENTION_DAYS": "3650"}
    assert run("purge", **old).out == "deleted: 0\n"
    purged = run("purge", **environ).out
    left = orjson.loads(run("calls", "--json", **environ).out)
    expected = {sid(3)} | ({sid(1)} if now - STARTED < 30 * 86_400 else set())
    assert {line["call_sid"] for line in left} == expected
    assert purged == f"deleted: {4 - len(expected)}\n"


def test_a_caller_is_forgotten(run: Run, url: str) -> None:
    assert run("forget", "0555-100007", "--yes", DATABASE_URL=url).status == 2
    assert run("forget", "+1 555 010-0007", "--yes", DATABASE_URL=url).out == "deleted: 1\n"
    assert run("calls", DATABASE_URL=url).out == "no calls\n"


def test_a_caller_on_the_line_is_not_forgotten_yet(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/live.db"
    opening = CallOpening(sid(1), "AC1", "acme", CALLER, "", "number", time.time())

    async def open_one() -> None:
        store = await open_store(url, clock=time.time)
        await SqlLedger(store, time.time, str).open_call(opening)
        await store.close()

    asyncio.run(open_one())
    ended = run("forget", CALLER, "--yes", DATABASE_URL=url)
    assert (ended.status, ended.out) == (1, "deleted: 0\n")
    assert "still in progress, and not deleted: 1" in ended.err


@pytest.mark.parametrize("command", [("forget", CALLER, "--yes"), ("purge",)], ids=["one", "old"])
def test_what_was_deleted_and_is_left_in_the_log_is_told(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    url = f"sqlite:///{tmp_path}/long_ago.db"
    asyncio.run(fill(url, STARTED - 400 * 86_400))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM calls").fetchone()
        ended = run(*command, "--wait", "0", DATABASE_URL=url)
    assert ended.status == 1
    assert ended.out == "deleted: 1\n"
    assert "the log beside the database (-wal) could not be emptied" in ended.err
    assert run(*command, DATABASE_URL=url).status == 0


def test_a_database_that_cannot_be_used_is_named(run: Run) -> None:
    ended = run("calls", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/calls")
    assert ended.status == 2
    assert "DATABASE_URL postgresql://u:***@127.0.0.1:1/calls cannot be used: gone" in ended.err
    assert "hunter2" not in ended.err
