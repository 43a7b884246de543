"""The rig against relays that work, and against relays that are broken in ways it has to notice."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from picows import WSMsgType, WSTransport

from loadtest.bench.bench import BRIDGE_SETTINGS
from loadtest.bench.certificate import make_certificate
from loadtest.bench.relays.picows_relay import CallerLeg
from loadtest.bench.rig import Rig
from loadtest.bench.sequence import Faults
from loadtest.bench.system import BRIDGE, CEILING, YARDSTICK, Reading, Seats, System
from tests.loadtest.bench.conftest import QUICK, Relay

WINDOW_S = 0.8
ANYWHERE = Seats(None, None)


def nothing() -> None:
    """No sample is wanted."""


@pytest.mark.parametrize("name", [CEILING, YARDSTICK])
async def test_a_relay_carries_conversations_whole(name: str, rig: Rig, tmp_path: Path) -> None:
    environment = {"REALTIME_URL": rig.realtime_url}
    async with System(name, environment, ANYWHERE, tmp_path) as system:
        await rig.set_calls(6, system.media_url)
        measured = await rig.measure(WINDOW_S, system.read, settle_s=0.1)
        await rig.set_calls(0, system.media_url)
    level = measured.level
    assert level.calls == 6
    assert (level.uplink_faults, level.downlink_faults) == (Faults(), Faults())
    assert (level.not_talking, level.ended_early, level.unreadable, level.crossed) == (0, 0, 0, 0)
    assert (level.refusals, level.clears_missed) == (0, 0)
    assert level.frames > 0
    assert min(level.uplink.count, level.first_audio.count, level.delta.count) > 0
    assert level.barge_in.count > 0
    before, after = measured.before, measured.after
    assert isinstance(before, Reading)
    assert after.cpu_ns > before.cpu_ns


@pytest.mark.parametrize("name", [CEILING, YARDSTICK, BRIDGE])
@pytest.mark.parametrize("callers_too", [False, True], ids=["model's leg", "both legs"])
async def test_tls_carries_the_same(name: str, callers_too: bool, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    rig = Rig(QUICK, certificate.server_context(), certificate.client_context())
    await rig.start()
    environment = {
        **BRIDGE_SETTINGS,
        "XDG_CACHE_HOME": str(tmp_path),
        "REALTIME_URL": rig.realtime_url,
        "SSL_CERT_FILE": str(certificate.public),
        **(certificate.shown_by_system if callers_too else {}),
    }
    try:
        async with System(name, environment, ANYWHERE, tmp_path) as system:
            assert system.media_url.startswith("wss:" if callers_too else "ws:")
            await rig.set_calls(3, system.media_url)
            level = (await rig.measure(WINDOW_S, nothing, settle_s=0.1)).level
            await rig.set_calls(0, system.media_url)
    finally:
        await rig.close()
    assert (level.calls, level.not_talking) == (3, 0)
    assert (level.uplink_faults, level.downlink_faults) == (Faults(), Faults())


async def test_calls_can_be_taken_away_and_the_rest_goes_on(rig: Rig, relay: Relay) -> None:
    url = await relay(CallerLeg)
    await rig.set_calls(5, url)
    await rig.set_calls(2, url)
    level = (await rig.measure(WINDOW_S, nothing, settle_s=0.1)).level
    assert (level.calls, level.not_talking, level.uplink_faults) == (2, 0, Faults())


class Careless(CallerLeg):
    """Of every ten frames it loses one, repeats one and swaps two."""

    count = 0
    held = ""

    def append(self, payload: str) -> None:
        self.count += 1
        match self.count % 10:
            case 3:
                return
            case 5:
                super().append(payload)
            case 7:
                self.held = payload
                return
            case 8:
                super().append(payload)
                payload = self.held
        super().append(payload)


async def test_lost_repeated_and_swapped_frames_are_all_noticed(rig: Rig, relay: Relay) -> None:
    await rig.set_calls(2, await relay(Careless))
    faults = (await rig.measure(WINDOW_S, nothing, settle_s=0.1)).level.uplink_faults
    assert min(faults.lost, faults.duplicated, faults.reordered) > 0


class Deaf(CallerLeg):
    """Passes no clear on."""

    def clear(self) -> None:
        return


async def test_a_barge_in_without_a_clear_is_noticed(rig: Rig, relay: Relay) -> None:
    await rig.set_calls(4, await relay(Deaf))
    level = (await rig.measure(WINDOW_S, nothing, settle_s=0.1)).level
    assert level.clears_missed > 0
    assert level.barge_in.count == 0


class Skipping(CallerLeg):
    """Loses every third delta."""

    count = 0

    def play(self, payload: str, mark: str) -> None:
        self.count += 1
        if self.count % 3:
            super().play(payload, mark)


async def test_a_lost_delta_is_noticed(rig: Rig, relay: Relay) -> None:
    await rig.set_calls(4, await relay(Skipping))
    level = (await rig.measure(WINDOW_S, nothing, settle_s=0.1)).level
    assert level.downlink_faults.lost > 0
    assert level.uplink_faults == Faults()


class Mixing(CallerLeg):
    """Sends every call's answers to the call that came last."""

    last: CallerLeg | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        type(self).last = self
        super().on_ws_connected(transport)

    def play(self, payload: str, mark: str) -> None:
        assert self.last is not None
        CallerLeg.play(self.last, payload, mark)


async def test_audio_that_reaches_another_call_is_noticed(rig: Rig, relay: Relay) -> None:
    await rig.set_calls(3, await relay(Mixing))
    assert (await rig.measure(WINDOW_S, nothing, settle_s=0.1)).level.crossed > 0


class Unconfigured(CallerLeg):
    """Asks for PCM, and sends what it gets all the same."""

    def model_opened(self, model: WSTransport) -> None:
        update = {"type": "session.update", "session": {"type": "realtime"}}
        model.send(WSMsgType.TEXT, orjson.dumps(update))
        super().model_opened(model)


async def test_a_configuration_without_telephone_audio_is_noticed(rig: Rig, relay: Relay) -> None:
    await rig.set_calls(2, await relay(Unconfigured))
    assert (await rig.measure(WINDOW_S, nothing, settle_s=0.1)).level.refusals == 2


class Impatient(CallerLeg):
    """Hangs up after a few frames."""

    count = 0

    def append(self, payload: str) -> None:
        self.count += 1
        super().append(payload)
        if self.count == 15:
            self.hang_up()


async def test_a_call_that_the_bridge_ends_is_noticed(rig: Rig, relay: Relay) -> None:
    await rig.set_calls(2, await relay(Impatient))
    assert (await rig.measure(WINDOW_S, nothing, settle_s=0.1)).level.ended_early == 2


async def test_calls_that_nobody_answers_are_counted(rig: Rig) -> None:
    await rig.set_calls(2, "ws://127.0.0.1:1/media")
    level = (await rig.measure(0.1, nothing, settle_s=0)).level
    assert (level.calls, level.not_talking) == (0, 2)
