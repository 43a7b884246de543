"""What Twilio reports of calls and streams."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from bridge.store.ledger import CallEnd
from tests.bridge.web.conftest import CALL, INCOMING, NOW, Site


async def test_a_final_status_closes_the_call_once(site: Site) -> None:
    await site.post("/voice")
    done = INCOMING | {"CallStatus": "completed", "CallDuration": "31"}
    assert (await site.post("/status", done)).status == 204
    assert not await site.ledger.close_call(CallEnd(CALL, "completed", NOW))


@pytest.mark.parametrize("status", ["ringing", "in-progress", "queued", "", "unheard-of"])
async def test_any_other_status_closes_nothing(status: str, site: Site) -> None:
    await site.post("/voice")
    assert (await site.post("/status", INCOMING | {"CallStatus": status})).status == 204
    assert await site.ledger.close_call(CallEnd(CALL, "completed", NOW))


@pytest.mark.parametrize("duration", ["", "-1", "soon", "²", "9" * 40])
async def test_a_strange_duration_does_not_keep_a_call_open(duration: str, site: Site) -> None:
    await site.post("/voice")
    done = INCOMING | {"CallStatus": "failed", "CallDuration": duration}
    assert (await site.post("/status", done)).status == 204
    assert not await site.ledger.close_call(CallEnd(CALL, "completed", NOW))


async def test_a_call_nobody_knows_may_end(site: Site) -> None:
    assert (await site.post("/status", INCOMING | {"CallStatus": "completed"})).status == 204


async def test_stream_events_are_logged_and_close_nothing(site: Site) -> None:
    await site.post("/voice")
    stream = {
        "CallSid": CALL,
        "AccountSid": INCOMING["AccountSid"],
        "StreamSid": "MZ" + "1" * 32,
        "StreamEvent": "stream-error",
        "StreamError": "31921",
        "Timestamp": "2026-11-20T10:00:00.000Z",
    }
    with capture_logs() as logged:
        assert (await site.post("/status", stream)).status == 204
    assert logged == [
        {
            "event": "stream_error",
            "log_level": "warning",
            "call_sid": CALL,
            "stream_sid": "MZ" + "1" * 32,
            "error": "31921",
        }
    ]
    assert await site.ledger.close_call(CallEnd(CALL, "completed", NOW))
