"""Lists, single calls and figures of what was stored."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from bridge.call.effects import Note
from bridge.call.usage import UsageMeter
from bridge.store.ledger import CallEnd, HandoverReport, SideEffect
from bridge.store.prices import read_prices
from bridge.store.reading import CallFilter, list_calls, read_call
from bridge.store.recorder import CallRecorder, CallSummary
from bridge.store.sql_ledger import SqlLedger
from bridge.store.statistics import DayFigures, day_figures
from bridge.store.store import Store
from tests.bridge.store.conftest import ManualClock, Samples

FIRST_DAY = dt.date(2026, 11, 20)
MIDNIGHT = dt.datetime.combine(FIRST_DAY, dt.time(), dt.UTC).timestamp()
DAY_S = 86_400


class Archive:
    """Fills a store with calls."""

    def __init__(self, store: Store, clock: ManualClock, samples: Samples) -> None:
        self.ledger = SqlLedger(store, clock, str)
        self.recorder = CallRecorder(store, read_prices(), clock=clock)
        self.samples = samples

    async def call(
        self,
        number: int,
        *,
        tenant: str = "acme",
        at: float = MIDNIGHT,
        intent: str = "billing",
        model: str = "gpt-realtime-2.1",
        latencies: tuple[float, ...] = (),
        caller: str = "+15550100001",
    ) -> None:
        opening = self.samples.opening(number, tenant=tenant, started_at=at, from_number=caller)
        opened = await self.ledger.open_call(opening)
        decision = replace(self.samples.decision(number), intent=intent)
        await self.ledger.record_decision(decision, [SideEffect("sms", {"body": "hi"})])
        record = self.recorder.opened(opened, now=0.0)
        for turn, latency in enumerate(latencies, 1):
            record.note(float(turn), Note("turn", {"turn": turn, "first_audio_out_ms": latency}))
        record.closed(CallSummary(model, UsageMeter(text_out=1_000_000), stream_s=0.0))
        await self.recorder.flush()


@pytest.fixture
def archive(store: Store, clock: ManualClock, samples: Samples) -> Archive:
    return Archive(store, clock, samples)


async def listed(store: Store, **wanted: object) -> list[int]:
    lines = await list_calls(store, CallFilter(**wanted))  # type: ignore[arg-type]
    return [int(line.call_sid.removeprefix("CA"), base=16) for line in lines]


async def test_calls_are_listed_newest_first_as_far_as_they_fit_the_filter(
    archive: Archive, store: Store
) -> None:
    await archive.call(1)
    await archive.call(2, at=MIDNIGHT + 60, intent="schedule")
    await archive.call(3, at=MIDNIGHT + DAY_S, tenant="salon")
    await archive.call(4, at=MIDNIGHT - 1, caller="+15550100004")
    assert await listed(store) == [3, 2, 1, 4]
    assert await listed(store, limit=2) == [3, 2]
    assert await listed(store, tenant="acme") == [2, 1, 4]
    assert await listed(store, intent="schedule") == [2]
    assert await listed(store, outcome="flex", tenant="salon") == [3]
    assert await listed(store, outcome="dial") == []
    assert await listed(store, caller="+1 555 010-0004") == [4]
    day = {"started_from": MIDNIGHT, "started_before": MIDNIGHT + DAY_S}
    assert await listed(store, **day) == [2, 1]


async def test_what_lists_and_figures_name_can_be_asked_for(
    archive: Archive, store: Store, samples: Samples
) -> None:
    await archive.call(1)
    await archive.call(2, intent="undecided")
    await archive.ledger.open_call(samples.opening(3, tenant="acme", started_at=MIDNIGHT))
    archive.recorder.passed_on(samples.opening(4, tenant="acme"), "at_capacity")
    no_intent = replace(samples.decision(5), intent=None)
    await archive.ledger.open_call(samples.opening(5, tenant="acme", started_at=MIDNIGHT))
    await archive.ledger.record_decision(no_intent, [])
    await archive.recorder.flush()
    assert await listed(store, outcome="today") == [4]
    assert await listed(store, outcome="undecided") == [3]
    assert await listed(store, intent="undecided") == [2, 3, 5]
    (figures,) = await day_figures(store, MIDNIGHT, MIDNIGHT + DAY_S)
    assert figures.intents == {"billing": 1, "undecided": 3}
    assert figures.outcomes == {"flex": 3, "undecided": 1}


async def test_a_line_of_the_list_says_who_where_and_what_it_cost(
    archive: Archive, store: Store, samples: Samples
) -> None:
    await archive.call(1, latencies=(700, 800))
    await archive.call(2, model="unheard-of")
    await archive.ledger.close_call(CallEnd(samples.call_sid(1), "completed", MIDNIGHT + 9, 9))
    second, first = sorted(
        await list_calls(store, CallFilter()), key=lambda line: line.call_sid, reverse=True
    )
    assert (first.caller, first.route, first.intent, first.end_status, first.duration_s) == (
        "+15550100001",
        "flex",
        "billing",
        "completed",
        9,
    )
    assert (first.turns, first.cost_usd, first.conversations) == (2, 24.0, 1)
    assert (second.turns, second.cost_usd, second.conversations) == (0, None, 1)
    assert second.ended_at is None


async def test_a_call_is_shown_with_everything_that_belongs_to_it(
    archive: Archive, store: Store, samples: Samples
) -> None:
    await archive.call(1, latencies=(700,))
    report = HandoverReport(samples.call_sid(), 0, "step-0", "queue-full", 7.0, "<Response/>")
    await archive.ledger.report(report)
    await archive.ledger.close_call(CallEnd(samples.call_sid(1), "completed", MIDNIGHT + 9, 9))
    call = await read_call(store, samples.call_sid())
    assert call is not None
    assert call["call"]["caller"] == "+15550100001"
    assert "caller_hash" not in call["call"]
    (hop,) = call["hops"]
    assert hop["opening"]["parameters"] == {"flex_skill": "en"}
    (decision,) = call["decisions"]
    assert decision["envelope"] == {"intent": "billing"}
    assert decision["twiml"] == samples.decision().twiml
    assert [one["payload"] for one in call["side_effects"]] == [{"body": "hi"}]
    assert [one["status"] for one in call["reports"]] == ["queue-full"]
    assert [one["first_audio_out_ms"] for one in call["turns"]] == [700]
    assert (call["call"]["ended_at"], call["call"]["duration_s"]) == (MIDNIGHT + 9, 9)


async def test_a_call_that_is_not_there_is_none(store: Store, samples: Samples) -> None:
    assert await read_call(store, samples.call_sid()) is None


async def test_days_are_counted_by_tenant(archive: Archive, store: Store) -> None:
    await archive.call(1, latencies=tuple(range(1, 21)))
    await archive.call(2, at=MIDNIGHT + DAY_S - 1, intent="schedule", model="unheard-of")
    await archive.call(3, at=MIDNIGHT + DAY_S, tenant="salon")
    archive.recorder.passed_on(
        archive.samples.opening(4, tenant="acme", started_at=MIDNIGHT), "at_capacity"
    )
    await archive.recorder.flush()
    figures = await day_figures(store, MIDNIGHT, MIDNIGHT + 2 * DAY_S)
    assert figures == [
        DayFigures(
            day=FIRST_DAY + dt.timedelta(days=1),
            tenant="salon",
            calls=1,
            taken=1,
            intents={"billing": 1},
            outcomes={"flex": 1},
            cost_usd=24.0,
        ),
        DayFigures(
            day=FIRST_DAY,
            tenant="acme",
            calls=3,
            taken=2,
            intents={"billing": 1, "schedule": 1},
            outcomes={"flex": 2},
            turns=20,
            first_audio_out_p50_ms=10,
            first_audio_out_p95_ms=19,
            cost_usd=24.0,
            cost_unknown=1,
        ),
    ]
    assert figures[1].taken_share == pytest.approx(2 / 3)


async def test_conversations_without_an_end_are_counted_among_those_of_unknown_cost(
    archive: Archive, store: Store, samples: Samples
) -> None:
    """Killed before their use was written: whole calls, and a call that had come back."""
    await archive.call(1)
    killed = await archive.ledger.open_call(samples.opening(2, tenant="acme", started_at=MIDNIGHT))
    again = await archive.ledger.open_call(samples.opening(1, tenant="acme", started_at=MIDNIGHT))
    assert again.hop == 1
    for opened in (killed, again):
        record = archive.recorder.opened(opened, now=0.0)
        for at, words in enumerate(("Hello?", "Anybody there?")):
            record.note(float(at), Note("caller_said", {"item": f"i{at}"}, words))
    never_streamed = samples.opening(3, tenant="acme", started_at=MIDNIGHT)
    await archive.ledger.open_call(never_streamed)
    await archive.ledger.close_call(CallEnd(samples.call_sid(3), "busy", MIDNIGHT + 9, 0))
    await archive.recorder.flush()
    (figures,) = await day_figures(store, MIDNIGHT, MIDNIGHT + DAY_S)
    assert (figures.calls, figures.cost_usd, figures.cost_unknown) == (3, 24.0, 2)
    by_call = {line.call_sid: line for line in await list_calls(store, CallFilter())}
    conversations = [by_call[samples.call_sid(n)].conversations for n in (1, 2, 3)]
    assert conversations == [1, 0, 0]


async def test_figures_keep_to_their_window_and_tenant(archive: Archive, store: Store) -> None:
    await archive.call(1)
    await archive.call(2, tenant="salon")
    await archive.call(3, at=MIDNIGHT + DAY_S)
    found = await day_figures(store, MIDNIGHT, MIDNIGHT + DAY_S, tenant="acme")
    assert [(one.day, one.tenant, one.calls) for one in found] == [(FIRST_DAY, "acme", 1)]
