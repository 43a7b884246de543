"""What a call used."""

from __future__ import annotations

from bridge.call.usage import UsageMeter
from bridge.protocol import realtime as rt
from tests.bridge.call.conftest import Rehearse

USED = rt.Usage(
    text_in=100, audio_in=40, cached_text_in=64, cached_audio_in=8, text_out=12, audio_out=90
)


def test_usage_adds_up_over_responses() -> None:
    meter = UsageMeter()
    meter.add(USED)
    meter.add(USED)
    assert meter == UsageMeter(200, 80, 128, 16, 24, 180, responses=2)


def test_a_response_without_figures_is_counted_as_one() -> None:
    meter = UsageMeter()
    meter.add(None)
    assert meter == UsageMeter(responses=1)


def test_cancelled_and_failed_responses_cost_as_well(talking_call: Rehearse) -> None:
    call = talking_call()
    for status in ("cancelled", "failed", "completed"):
        call.feed(rt.ResponseStarted("resp_1", {}))
        call.feed(rt.ResponseDone("resp_1", status, None, None, None, USED, (), {}))
    usage = call.session.state.usage
    assert (usage.responses, usage.audio_out) == (3, 270)
