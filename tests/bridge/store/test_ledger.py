"""What every ledger promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.store.ledger import (
    CallEnd,
    HandoverReport,
    Ledger,
    Refusal,
    UnknownCallError,
)
from tests.bridge.store.conftest import LedgerMaker, ManualClock, Samples

TTL_S = 60.0


async def test_a_call_opens_on_hop_zero_and_is_read_back_whole(
    ledger: Ledger, samples: Samples
) -> None:
    opened = await ledger.open_call(samples.opening())
    assert opened == samples.opening()
    assert await ledger.opening(samples.call_sid()) == opened


async def test_an_unknown_call_has_no_opening_no_decision_and_no_token(
    ledger: Ledger, samples: Samples
) -> None:
    assert await ledger.opening(samples.call_sid()) is None
    assert await ledger.decision(samples.call_sid()) is None
    assert await ledger.token_call("never minted") is None
    with pytest.raises(UnknownCallError):
        await ledger.mint_token(samples.call_sid(), TTL_S)
    with pytest.raises(UnknownCallError):
        await ledger.record_decision(samples.decision())


async def test_a_repeated_webhook_with_its_idempotency_key_stays_on_its_hop(
    ledger: Ledger, samples: Samples
) -> None:
    first = await ledger.open_call(samples.opening(), "key-1")
    await ledger.record_decision(samples.decision())
    assert await ledger.open_call(samples.opening(), "key-1") == first


async def test_a_repeated_webhook_without_a_key_stays_on_an_unused_hop(
    ledger: Ledger, samples: Samples
) -> None:
    first = await ledger.open_call(samples.opening())
    assert await ledger.open_call(samples.opening()) == first


async def test_a_first_key_on_a_repeated_webhook_does_not_open_a_hop(
    ledger: Ledger, samples: Samples
) -> None:
    """Where only the repetition carries a key."""
    first = await ledger.open_call(samples.opening())
    assert await ledger.open_call(samples.opening(), "key-of-the-retry") == first


async def test_a_new_key_opens_the_next_hop(ledger: Ledger, samples: Samples) -> None:
    await ledger.open_call(samples.opening(), "key-1")
    assert (await ledger.open_call(samples.opening(), "key-2")).hop == 1


async def test_a_call_that_comes_back_after_its_token_was_used_is_on_the_next_hop(
    ledger: Ledger, samples: Samples
) -> None:
    opened = await ledger.open_call(samples.opening())
    token = await ledger.mint_token(opened.call_sid, TTL_S)
    await ledger.redeem_token(token, opened.call_sid, samples.account)
    assert (await ledger.open_call(samples.opening())).hop == 1


async def test_a_call_that_comes_back_after_its_decision_is_on_the_next_hop(
    ledger: Ledger, samples: Samples
) -> None:
    await ledger.open_call(samples.opening())
    await ledger.record_decision(samples.decision())
    again = await ledger.open_call(samples.opening())
    assert again == replace(samples.opening(), hop=1)
    assert await ledger.decision(again.call_sid) is None
    assert await ledger.decision(again.call_sid, hop=0) == samples.decision()


async def test_each_stream_of_a_twiml_bin_is_a_hop(ledger: Ledger, samples: Samples) -> None:
    opening = samples.opening(entry="bin")
    hops = [(await ledger.open_call(opening)).hop for _ in range(3)]
    assert hops == [0, 1, 2]


async def test_hops_counted_elsewhere_are_not_lost(ledger: Ledger, samples: Samples) -> None:
    assert (await ledger.open_call(samples.opening(hop=2))).hop == 2


async def test_a_token_opens_its_call_once(ledger: Ledger, samples: Samples) -> None:
    opened = await ledger.open_call(samples.opening())
    token = await ledger.mint_token(opened.call_sid, TTL_S)
    assert await ledger.redeem_token(token, opened.call_sid, samples.account) == opened
    assert await ledger.redeem_token(token, opened.call_sid, samples.account) == Refusal(
        "used_token"
    )


async def test_a_token_is_refused_from_the_moment_it_expires(
    ledger: Ledger, samples: Samples, clock: ManualClock
) -> None:
    opened = await ledger.open_call(samples.opening())
    token = await ledger.mint_token(opened.call_sid, TTL_S)
    clock.now += TTL_S
    assert await ledger.redeem_token(token, opened.call_sid, samples.account) == Refusal(
        "expired_token"
    )


async def test_a_token_is_bound_to_its_call_and_account_and_survives_the_wrong_ones(
    ledger: Ledger, samples: Samples
) -> None:
    opened = await ledger.open_call(samples.opening(1))
    other = await ledger.open_call(samples.opening(2))
    token = await ledger.mint_token(opened.call_sid, TTL_S)
    foreign_account = "AC" + "f" * 32
    assert [
        await ledger.redeem_token("no such token", opened.call_sid, samples.account),
        await ledger.redeem_token(token, other.call_sid, samples.account),
        await ledger.redeem_token(token, "CAé", samples.account),
        await ledger.redeem_token(token, opened.call_sid, foreign_account),
        await ledger.redeem_token(token, opened.call_sid, samples.account),
    ] == [
        Refusal("unknown_token"),
        Refusal("call_mismatch"),
        Refusal("call_mismatch"),
        Refusal("account_mismatch"),
        opened,
    ]


async def test_a_used_or_expired_token_still_names_its_hop(
    ledger: Ledger, samples: Samples, clock: ManualClock
) -> None:
    """The action after the stream asks minutes later, and perhaps after the call came back."""
    opened = await ledger.open_call(samples.opening())
    token = await ledger.mint_token(opened.call_sid, TTL_S)
    await ledger.redeem_token(token, opened.call_sid, samples.account)
    await ledger.open_call(samples.opening())
    clock.now += 10 * TTL_S
    assert await ledger.token_call(token) == opened


async def test_the_first_decision_of_a_hop_stands(ledger: Ledger, samples: Samples) -> None:
    await ledger.open_call(samples.opening())
    first = samples.decision(route="flex")
    assert await ledger.record_decision(first) == first
    assert await ledger.record_decision(samples.decision(route="dial")) == first
    assert await ledger.decision(samples.call_sid()) == first


async def test_a_decision_for_a_hop_that_never_opened_is_refused(
    ledger: Ledger, samples: Samples
) -> None:
    await ledger.open_call(samples.opening())
    with pytest.raises(UnknownCallError, match="hop 1"):
        await ledger.record_decision(samples.decision(hop=1))


async def test_a_closed_call_still_answers_and_the_first_report_of_its_end_stands(
    ledger: Ledger, samples: Samples
) -> None:
    await ledger.open_call(samples.opening())
    await ledger.record_decision(samples.decision())
    end = CallEnd(samples.call_sid(), "completed", ended_at=1.0, duration_s=30)
    assert await ledger.close_call(end)
    assert not await ledger.close_call(replace(end, status="failed"))
    assert await ledger.decision(samples.call_sid()) == samples.decision()


async def test_a_call_nobody_opened_cannot_be_closed(ledger: Ledger, samples: Samples) -> None:
    assert not await ledger.close_call(CallEnd(samples.call_sid(), "completed", ended_at=1.0))


CALLS = st.integers(1, 2)
STEPS = st.one_of(
    st.tuples(st.just("open"), CALLS, st.sampled_from([None, "k1", "k2"])),
    st.tuples(st.just("mint"), CALLS, st.none()),
    st.tuples(st.just("redeem"), CALLS, st.integers(1, 12)),
    st.tuples(st.just("decide"), CALLS, st.integers(0, 3)),
    st.tuples(st.just("close"), CALLS, st.none()),
    st.tuples(st.just("wait"), CALLS, st.sampled_from([1.0, TTL_S])),
)


@given(steps=st.lists(STEPS, max_size=40))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
async def test_whatever_happens_tokens_are_used_once_and_decisions_never_change(
    steps: list[tuple[str, int, Any]],
    make_ledger: LedgerMaker,
    clock: ManualClock,
    samples: Samples,
) -> None:
    async with make_ledger(clock) as ledger:
        redeemed: set[str] = set()
        standing: dict[tuple[str, int], Any] = {}
        hops: dict[str, int] = {}
        for at, (step, number, detail) in enumerate(steps):
            sid = samples.call_sid(number)
            if step == "open":
                opened = await ledger.open_call(samples.opening(number), detail)
                assert opened.hop <= hops.get(sid, -1) + 1
                hops[sid] = max(hops.get(sid, 0), opened.hop)
            elif step == "mint" and sid in hops:
                await ledger.mint_token(sid, TTL_S)
            elif step == "redeem":
                token = f"token-{detail}"
                result = await ledger.redeem_token(token, sid, samples.account)
                if not isinstance(result, Refusal):
                    assert token not in redeemed
                    assert result.call_sid == sid
                    assert await ledger.token_call(token) == result
                    redeemed.add(token)
            elif step == "decide" and detail <= hops.get(sid, -1):
                asked = samples.decision(number, hop=detail, route=f"route-{at}")
                stands = await ledger.record_decision(asked)
                assert stands == standing.setdefault((sid, detail), asked)
            elif step == "close":
                await ledger.close_call(CallEnd(sid, "completed", ended_at=clock.now))
            elif step == "wait":
                clock.now += detail
            for (decided_sid, hop), decision in standing.items():
                assert await ledger.decision(decided_sid, hop) == decision


# --- reports of handovers ---------------------------------------------------------------------


def step(samples: Samples, key: str = "step-0", twiml: str = "<Response/>") -> HandoverReport:
    fields = {"decision": {"route": "dial"}}
    return HandoverReport(samples.call_sid(), 0, key, "no-answer", 1_000_001.0, twiml, fields)


async def test_the_first_report_under_a_key_stands(ledger: Ledger, samples: Samples) -> None:
    await ledger.open_call(samples.opening())
    first, second = step(samples), step(samples, twiml="<Response><Hangup/></Response>")
    assert await ledger.report(first) == first
    assert await ledger.report(second) == first
    assert await ledger.reports(samples.call_sid(), 0) == (first,)


async def test_reports_are_read_back_in_the_order_they_came(
    ledger: Ledger, samples: Samples
) -> None:
    await ledger.open_call(samples.opening())
    first, second = step(samples), replace(step(samples, "recording-RE1"), at=1_000_002.0)
    await ledger.report(first)
    await ledger.report(second)
    assert await ledger.reports(samples.call_sid(), 0) == (first, second)


async def test_a_report_of_an_unknown_call_is_refused_and_none_are_held(
    ledger: Ledger, samples: Samples
) -> None:
    with pytest.raises(UnknownCallError):
        await ledger.report(step(samples))
    assert await ledger.reports(samples.call_sid(), 0) == ()
