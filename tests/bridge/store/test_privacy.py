"""What is due is deleted, with all that belongs to it, and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Connection, func, select
from structlog.testing import capture_logs

from bridge.call.effects import Note
from bridge.call.usage import UsageMeter
from bridge.store.chores import again_and_again
from bridge.store.cipher import fingerprint
from bridge.store.ledger import (
    CallEnd,
    HandoverReport,
    LedgerUnavailableError,
    SideEffect,
)
from bridge.store.prices import read_prices
from bridge.store.privacy import (
    LONGEST_CALL_S,
    LOOK_EVERY_S,
    DailyPurge,
    Forgotten,
    Purged,
    forget,
    purge,
)
from bridge.store.recorder import CallRecorder, CallSummary
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store, open_store
from bridge.store.tables import data_keys, metadata
from tests.bridge.store.conftest import START, FreshUrl, ManualClock, Samples

DAY_S = 86_400
ADA, BOB = "+15550100001", "+15550100002"


async def full_call(
    store: Store, clock: ManualClock, samples: Samples, number: int, **changes: object
) -> None:
    """A call with a row in every table there is."""
    ledger = SqlLedger(store, clock, lambda: f"token-{number}")
    opened = await ledger.open_call(samples.opening(number, **changes))
    await ledger.mint_token(opened.call_sid, 40 * DAY_S)
    await ledger.record_decision(samples.decision(number), [SideEffect("sms", {})])
    await ledger.report(HandoverReport(opened.call_sid, 0, "step-0", "completed", 1.0))
    await ledger.close_call(CallEnd(opened.call_sid, "completed", opened.started_at + 60))
    recorder = CallRecorder(store, read_prices(), clock=clock)
    record = recorder.opened(opened, now=0.0)
    record.note(0.0, Note("caller_said", {}, "something private"))
    record.note(0.0, Note("turn", {"turn": 1}))
    recorder.status(opened.call_sid, "dial", "no-answer")
    record.closed(CallSummary("m", UsageMeter(), 1.0))
    await recorder.flush()


async def counts(store: Store) -> dict[str, int]:
    def count(connection: Connection) -> dict[str, int]:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in metadata.sorted_tables
            if "call_sid" in table.columns
        }

    return await store.database.read(count)


async def test_past_its_retention_a_call_goes_from_every_table(
    store: Store, clock: ManualClock, samples: Samples
) -> None:
    await full_call(store, clock, samples, 1)
    assert set((await counts(store)).values()) == {1}
    assert (await purge(store, lambda _: 30, START + 30 * DAY_S)).deleted == 0
    assert set((await counts(store)).values()) == {1}
    assert (await purge(store, lambda _: 30, START + 30 * DAY_S + 1)).deleted == 1
    assert set((await counts(store)).values()) == {0}


async def test_each_tenant_has_its_own_retention(
    store: Store, clock: ManualClock, samples: Samples
) -> None:
    for number, tenant in enumerate(["salon", "clinic", "clinic"], 1):
        await full_call(store, clock, samples, number, tenant=tenant)
    days = {"salon": 30, "clinic": 7}
    assert (await purge(store, days.__getitem__, START + 8 * DAY_S)).deleted == 2
    assert (await counts(store))["calls"] == 1


async def test_more_calls_than_one_transaction_takes_are_all_deleted(
    store: Store, clock: ManualClock, samples: Samples
) -> None:
    recorder = CallRecorder(store, read_prices(), clock=clock)
    for number in range(450):
        recorder.passed_on(samples.opening(number), "at_capacity")
    await recorder.flush()
    assert (await purge(store, lambda _: 1, START + 2 * DAY_S)).deleted == 450


async def test_a_caller_is_forgotten_and_the_others_stay(
    store: Store, clock: ManualClock, samples: Samples
) -> None:
    await full_call(store, clock, samples, 1, from_number=ADA)
    await full_call(store, clock, samples, 2, from_number=ADA)
    await full_call(store, clock, samples, 3, from_number=BOB)
    assert await forget(store, "+1 (555) 010-0001", clock.now) == Forgotten(2, 0)
    assert set((await counts(store)).values()) == {1}
    assert await forget(store, ADA, clock.now) == Forgotten(0, 0)


async def test_a_call_in_progress_is_not_deleted_under_its_feet(
    store: Store, clock: ManualClock, samples: Samples
) -> None:
    await SqlLedger(store, clock, str).open_call(samples.opening())
    assert await forget(store, ADA, clock.now) == Forgotten(0, 1)
    assert await forget(store, ADA, clock.now + LONGEST_CALL_S) == Forgotten(1, 0)


def files_with(words: bytes, folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if words in path.read_bytes()]


async def test_what_was_forgotten_is_not_left_in_the_files(
    tmp_path: Path, clock: ManualClock, samples: Samples
) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/calls.db", clock=clock)
    await full_call(store, clock, samples, 1)
    assert files_with(b"something private", tmp_path)
    await forget(store, ADA, clock.now)
    left = files_with(b"something private", tmp_path)
    await store.close()
    assert left == []


async def test_a_log_that_somebody_reads_is_told_and_emptied_when_they_are_done(
    tmp_path: Path, clock: ManualClock, samples: Samples
) -> None:
    """A backup, or a long report: it keeps what was deleted in the log."""
    store = await open_store(f"sqlite:///{tmp_path}/calls.db", clock=clock)
    await full_call(store, clock, samples, 1)
    with closing(sqlite3.connect(tmp_path / "calls.db")) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM calls").fetchone()
        forgotten = await forget(store, ADA, clock.now, empty_within_s=0.1)
        assert forgotten == Forgotten(1, 0, log_emptied=False)
        assert files_with(b"something private", tmp_path) == ["calls.db-wal"]
        purged = await purge(store, lambda _: 1, clock.now, empty_within_s=0.1)
        assert purged == Purged(0, (), log_emptied=False)
        waiting = asyncio.create_task(forget(store, ADA, clock.now, empty_within_s=30))
        await SqlLedger(store, clock, str).open_call(samples.opening(2, from_number=BOB))
        backup.rollback()
        assert (await waiting).log_emptied
    left = files_with(b"something private", tmp_path)
    await store.close()
    assert left == []


async def test_a_log_that_was_not_emptied_is_looked_at_again_before_the_next_day(
    tmp_path: Path, clock: ManualClock, samples: Samples
) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/calls.db", clock=clock)
    await full_call(store, clock, samples, 1)
    clock.now += 2 * DAY_S
    daily = DailyPurge(store, lambda _: 1, clock, empty_within_s=0.1)
    with closing(sqlite3.connect(tmp_path / "calls.db")) as backup, capture_logs() as logs:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM calls").fetchone()
        assert await daily.purge_if_due() == 1
    assert "log_not_emptied" in [entry["event"] for entry in logs]
    clock.now += LOOK_EVERY_S
    assert await daily.purge_if_due() == 0
    clock.now += LOOK_EVERY_S
    assert await daily.purge_if_due() is None
    left = files_with(b"something private", tmp_path)
    await store.close()
    assert left == []


async def test_a_purge_that_fails_is_tried_again_at_the_next_look(
    fresh_url: FreshUrl, clock: ManualClock, samples: Samples
) -> None:
    """So is one whose process was killed: the day is written down when it is done."""
    store = await open_store(await fresh_url(), clock=clock)
    await full_call(store, clock, samples, 1)
    clock.now += 2 * DAY_S

    def broken(_tenant: str) -> int:
        raise LedgerUnavailableError("away", "gone")

    with pytest.raises(LedgerUnavailableError):
        await DailyPurge(store, broken, clock).purge_if_due()
    daily = DailyPurge(store, lambda _: 1, clock)
    rounds = []
    for later_s in (0, LOOK_EVERY_S, LOOK_EVERY_S, DAY_S - LOOK_EVERY_S):
        clock.now += later_s
        rounds.append(await daily.purge_if_due())
    await store.close()
    assert rounds == [None, 1, None, 0]


async def test_of_several_processes_one_purges_once_a_day(
    store: Store, clock: ManualClock, samples: Samples
) -> None:
    await full_call(store, clock, samples, 1)
    jobs = [DailyPurge(store, lambda _: 1, clock) for _ in range(3)]
    clock.now += 2 * DAY_S
    rounds = []
    for _ in range(3):
        done = await asyncio.gather(*(job.purge_if_due() for job in jobs))
        rounds.append(sorted(count for count in done if count is not None))
        clock.now += DAY_S / 2
    assert rounds == [[1], [], [0]]


async def test_the_daily_job_ends_when_it_is_told(store: Store, clock: ManualClock) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(DailyPurge(store, lambda _: 1, clock).run(stop))
    stop.set()
    async with asyncio.timeout(30):
        await running


@pytest.mark.parametrize("kept", [True, False], ids=["data left", "no data left"])
async def test_an_old_key_is_needed_as_long_as_something_is_left_that_it_wrote(
    kept: bool, fresh_url: FreshUrl, clock: ManualClock, samples: Samples
) -> None:
    old, new = (SecretStr(Fernet.generate_key().decode()) for _ in range(2))
    url = await fresh_url()
    store = await open_store(url, [old], clock=clock)
    await full_call(store, clock, samples, 1)
    await store.close()
    store = await open_store(url, [new, old], clock=clock)
    clock.now += 2 * DAY_S
    purged = await purge(store, lambda _: 30 if kept else 1, clock.now)
    known = await store.database.read(lambda c: c.scalars(select(data_keys.c.fingerprint)).all())
    await store.close()
    assert len(known) == (2 if kept else 1)
    assert purged.unneeded_keys == (() if kept else (fingerprint(old),))


async def test_a_process_whose_own_key_another_one_dropped_goes_on_purging(
    fresh_url: FreshUrl, clock: ManualClock
) -> None:
    ours, theirs = (SecretStr(Fernet.generate_key().decode()) for _ in range(2))
    url = await fresh_url()
    serving = await open_store(url, [ours], clock=clock)
    rotated = await open_store(url, [theirs, ours], clock=clock)
    clock.now += 2 * DAY_S
    assert (await purge(rotated, lambda _: 30, clock.now)).unneeded_keys == (fingerprint(ours),)
    assert await purge(serving, lambda _: 30, clock.now) == Purged(0, ())
    await rotated.close()
    await serving.close()


async def test_a_chore_that_fails_is_tried_again_and_ends_nothing() -> None:
    stop = asyncio.Event()
    tries = 0

    async def chore() -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            stop.set()
        raise KeyError("a secret")

    with capture_logs() as logs:
        await again_and_again(chore, 0.01, stop)
    assert tries == 2
    assert [(entry["event"], entry["error"]) for entry in logs] == [
        ("chore_failed", "KeyError")
    ] * 2
    assert "a secret" not in str(logs)
