"""The record of calls: written in batches, once, and never in anybody's way."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.call.effects import Note
from bridge.call.usage import UsageMeter
from bridge.store.prices import read_prices
from bridge.store.reading import read_call
from bridge.store.recorder import KEPT_BACK, CallRecord, CallRecorder, CallSummary
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import Store
from bridge.store.tables import status_events, timeline, turns
from tests.bridge.store.conftest import ManualClock, Samples

DAY = dt.datetime(2026, 11, 21, tzinfo=dt.UTC).timestamp()
SUMMARY = CallSummary(
    model="gpt-realtime-2.1",
    usage=UsageMeter(text_in=1_000_000, responses=2, transcribed_seconds=60.0),
    stream_s=59.5,
    transcription_model="gpt-transcribe",
    instructions="v1",
    overlap_ms=0.0,
)


@pytest.fixture
def recorder(store: Store, clock: ManualClock) -> CallRecorder:
    return CallRecorder(store, read_prices(), clock=clock, limit=100)


async def opened(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples, number: int = 1
) -> CallRecord:
    ledger = SqlLedger(store, clock, str)
    opening = await ledger.open_call(samples.opening(number, started_at=DAY))
    return recorder.opened(opening, now=500.0)


async def recorded(store: Store, samples: Samples, part: str, number: int = 1) -> list[Any]:
    call = await read_call(store, samples.call_sid(number))
    assert call is not None
    return list(call[part])


async def test_what_a_call_observed_is_read_back_in_order(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    record = await opened(recorder, store, clock, samples)
    record.note(500.25, Note("greeting", {"cached": True}, "Hello\x00 there"))
    record.note(502.0, Note("caller_said", {"item": "i1"}, "My pipe burst 🚿"))
    record.note(503.5, Note("turn", {"turn": 1, "first_audio_out_ms": 812.5, "used_tool": False}))
    record.note(504.0, Note("digit"))
    record.closed(SUMMARY)
    await recorder.flush()
    assert await recorded(store, samples, "timeline") == [
        {
            "hop": 0,
            "seq": 0,
            "at_ms": 250,
            "kind": "greeting",
            "fields": {"cached": True},
            "words": "Hello\ufffd there",
        },
        {
            "hop": 0,
            "seq": 1,
            "at_ms": 2000,
            "kind": "caller_said",
            "fields": {"item": "i1"},
            "words": "My pipe burst 🚿",
        },
        {"hop": 0, "seq": 3, "at_ms": 4000, "kind": "digit", "fields": {}, "words": None},
    ]
    assert await recorded(store, samples, "turns") == [
        {
            "hop": 0,
            "turn": 1,
            "at_ms": 3500,
            "first_model_audio_ms": None,
            "first_audio_out_ms": 812.5,
            "bridge_ms": None,
            "used_tool": False,
        }
    ]
    (usage,) = await recorded(store, samples, "usage")
    costs = {name: usage[name] for name in usage if name.endswith("_usd")}
    assert costs == pytest.approx(
        {
            "model_usd": 4.0,
            "transcription_usd": 0.0045,
            "twilio_usd": 0.0044,
            "total_usd": 4.0089,
        }
    )
    assert (usage["responses"], usage["prices_from"], usage["entries_lost"]) == (
        2,
        "2026-11-20",
        0,
    )


async def test_a_summary_may_come_again_and_the_last_one_stands(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    record = await opened(recorder, store, clock, samples)
    for seconds in (10.0, 20.0):
        record.closed(CallSummary("unheard-of", UsageMeter(), stream_s=seconds))
    await recorder.flush()
    (usage,) = await recorded(store, samples, "usage")
    assert (usage["stream_s"], usage["total_usd"]) == (20.0, None)


async def test_a_call_the_ai_does_not_take_has_a_record_of_its_own(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    recorder.passed_on(samples.opening(), "at_capacity")
    recorder.status(samples.call_sid(), "dial", "no-answer", {"number": 1})
    await recorder.flush()
    call = await read_call(store, samples.call_sid())
    assert call is not None
    assert (call["call"]["side"], call["call"]["side_reason"]) == ("today", "at_capacity")
    assert call["status_events"] == [
        {"at": clock.now, "source": "dial", "status": "no-answer", "fields": {"number": 1}}
    ]


async def test_a_call_passed_on_and_taken_later_counts_as_taken(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    recorder.passed_on(samples.opening(), "at_capacity")
    await recorder.flush()
    assert (await SqlLedger(store, clock, str).open_call(samples.opening())).hop == 0
    call = await read_call(store, samples.call_sid())
    assert call is not None
    assert call["call"]["side"] == "ai"


async def test_entries_of_an_unknown_call_are_dropped_and_the_others_kept(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    stranger = recorder.opened(samples.opening(2), now=0.0)
    record = await opened(recorder, store, clock, samples)
    stranger.note(0.0, Note("digit"))
    stranger.closed(SUMMARY)
    record.note(500.0, Note("digit"))
    await recorder.flush()
    assert len(await recorded(store, samples, "timeline")) == 1
    assert await read_call(store, samples.call_sid(2)) is None


async def test_past_its_limit_the_buffer_takes_no_more_entries_but_still_the_summary(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    record = await opened(recorder, store, clock, samples)
    for _ in range(130):
        record.note(500.0, Note("digit"))
    record.closed(SUMMARY)
    assert recorder.refused == 30
    await recorder.flush()
    (usage,) = await recorded(store, samples, "usage")
    assert usage["entries_lost"] == 30
    assert len(await recorded(store, samples, "timeline")) == 100


async def test_the_room_for_summaries_has_an_end_too(
    recorder: CallRecorder, samples: Samples
) -> None:
    for _ in range(100 + KEPT_BACK + 1):
        recorder.status(samples.call_sid(), "call", "ringing")
    assert recorder.refused == 1


async def test_what_no_database_takes_is_dropped_alone(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    """A number past what a column holds, on PostgreSQL; SQLite takes it."""
    record = await opened(recorder, store, clock, samples)
    for at in range(20):
        record.note(500.0 + (2**40 if at == 7 else at), Note("digit"))
    await recorder.flush()
    kept = {entry["seq"] for entry in await recorded(store, samples, "timeline")}
    assert kept >= set(range(20)) - {7}


async def test_nothing_that_is_noted_ends_a_call(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    record = await opened(recorder, store, clock, samples)
    for value in (2**80, "half \ud83d", 1.5):
        record.note(500.0, Note("odd", {"value": value}, f"said {value}"))
    record.note(500.0, Note("turn"))
    await recorder.flush()
    assert len(await recorded(store, samples, "timeline")) == 3
    assert await recorded(store, samples, "turns") == []


async def test_a_running_recorder_writes_by_itself_and_the_rest_when_stopped(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    record = await opened(recorder, store, clock, samples)
    running = asyncio.create_task(recorder.run())
    count = select(func.count()).select_from(timeline)
    record.note(500.0, Note("digit"))
    async with asyncio.timeout(30):
        while not await store.database.read(lambda c: c.scalar(count)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        record.note(501.0, Note("digit"))
        recorder.stop()
        await running
    assert len(await recorded(store, samples, "timeline")) == 2


async def test_nothing_is_written_twice_when_it_is_not_known_whether_it_was_written(
    recorder: CallRecorder, store: Store, clock: ManualClock, samples: Samples
) -> None:
    """As after a commit whose answer was lost: the same batch comes again."""
    record = await opened(recorder, store, clock, samples)
    record.note(500.0, Note("digit"))
    record.note(500.0, Note("turn", {"turn": 1}))
    record.closed(SUMMARY)
    recorder.status(samples.call_sid(), "call", "ringing")
    kept = list(recorder._buffer)
    await recorder.flush()
    recorder._buffer.extend(kept)
    await recorder.flush()
    counts = [select(func.count()).select_from(t) for t in (timeline, turns, status_events)]
    assert await store.database.read(lambda c: [c.scalar(count) for count in counts]) == [1, 1, 1]
