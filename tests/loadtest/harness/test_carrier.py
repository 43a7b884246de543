"""The line between caller and Twilio: numbered frames, losses in runs, delays that keep order."""

from __future__ import annotations

import asyncio
import binascii
import random
from dataclasses import dataclass, field

import pytest

from loadtest.harness import watermark
from loadtest.harness.carrier import FaultyCarrier, MarkingCarrier
from loadtest.harness.tracking import CallTrack
from loadtest.harness.watermark import UPLINK
from loadtest.scenarios import LineConditions
from loadtest.twilio.audio import SILENCE, Frame


@dataclass
class Wire:
    """What Twilio was given."""

    payloads: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def send_media(self, payload: bytes) -> None:
        self.payloads.append(payload)
        self.times.append(asyncio.get_event_loop().time())

    @property
    def numbers(self) -> list[tuple[int, int] | None]:
        return [watermark.read(UPLINK, binascii.a2b_base64(one)) for one in self.payloads]


async def test_frames_are_numbered_in_order_and_timed() -> None:
    track, wire = CallTrack(5, None), Wire()
    carrier = MarkingCarrier(track, marks=True)
    for _ in range(4):
        carrier.carry(SILENCE, wire)
    assert wire.numbers == [(5, 0), (5, 1), (5, 2), (5, 3)]
    assert len(track.sent) == 4
    assert list(track.sent) == sorted(track.sent)


async def test_where_nobody_reads_marks_the_audio_stays_as_it_is() -> None:
    wire = Wire()
    MarkingCarrier(CallTrack(5, None), marks=False).carry(SILENCE, wire)
    assert wire.payloads == [SILENCE.payload]


@pytest.mark.parametrize(
    ("share", "run"), [(10, 1.0), (10, 4.0), (49, 1.0), (60, 1.5), (74, 3.0), (90, 9.0)]
)
async def test_losses_have_the_wanted_share_and_mean_length(share: int, run: float) -> None:
    track, wire = CallTrack(1, None), Wire()
    conditions = LineConditions(loss_percent=share, loss_run=run)
    carrier = FaultyCarrier(MarkingCarrier(track, marks=False), conditions, random.Random(1))
    arrived = []
    for _ in range(20_000):
        before = len(wire.payloads)
        carrier.carry(SILENCE, wire)
        arrived.append(len(wire.payloads) > before)
    lost = arrived.count(False)
    runs = sum(not now and was for was, now in zip([True, *arrived], arrived, strict=False))
    assert lost / 20_000 == pytest.approx(share / 100, abs=0.02)
    assert lost / runs == pytest.approx(run, rel=0.15)


@pytest.mark.parametrize(
    "conditions",
    [LineConditions(jitter_ms=30), LineConditions(burst_ms=80, burst_every_ms=100)],
    ids=["jitter", "bursts"],
)
async def test_delayed_frames_all_arrive_in_their_order(conditions: LineConditions) -> None:
    track, wire = CallTrack(1, None), Wire()
    carrier = FaultyCarrier(MarkingCarrier(track, marks=False), conditions, random.Random(2))
    said = [Frame.of(bytes([n]) * 160) for n in range(40)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, frame in enumerate(said):
        loop.call_at(began + number * 0.01, carrier.carry, frame, wire)
    async with asyncio.timeout(5):
        while len(wire.payloads) < len(said):  # noqa: ASYNC110 - the wire has no event to wait for
            await asyncio.sleep(0.01)
    assert wire.payloads == [frame.payload for frame in said]
    delays = [at - began - n * 0.01 for n, at in enumerate(wire.times)]
    assert max(delays) > 0.005
