"""Both ends of every call in one process: callers on a wheel, a model server, and the gauges."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ssl import SSLContext
from time import monotonic_ns
from typing import Generic, TypeVar

from picows import WSError, WSTransport, WSUpgradeRequest, ws_connect, ws_create_server

from loadtest.bench.board import Board, CallState
from loadtest.bench.caller import Caller
from loadtest.bench.gauges import RigLevel, Spread
from loadtest.bench.model import ModelSession
from loadtest.bench.playout import NEVER_NS
from loadtest.bench.sequence import Faults
from loadtest.bench.turns import TurnPlan
from loadtest.bench.wheel import Wheel

BACKLOG = 4096
_DIAL_TIMEOUT_S = 10.0
_TALKING_TIMEOUT_S = 10.0
_DRAIN_S = 1.0
_AFTER_COLLECTING_S = 0.2
"""Collecting takes a tenth of a second, in which the rig is late: that belongs to no window."""
_VISIT_S = 0.5
_VISIT_TIMEOUT_S = 15.0
PERSON_KEY = "0"
"""Decides a call at once, whatever the model does."""
_POLL_S = 0.05

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measured(Generic[T]):
    """A level, with what ``sample`` said at both edges of its window."""

    level: RigLevel
    before: T
    after: T


@dataclass(slots=True)
class Visits:
    """Short calls: closed by the system after the key, and those that were not."""

    decided: int = 0
    failed: int = 0


@dataclass(slots=True, eq=False)
class _Seat:
    """A caller and its socket."""

    caller: Caller
    transport: WSTransport | None = None


class Rig:
    """Start it, point a bridge at ``realtime_url``, then set calls and measure, again and again."""

    def __init__(
        self,
        plan: TurnPlan | None = None,
        tls: SSLContext | None = None,
        callers_tls: SSLContext | None = None,
    ) -> None:
        """``tls`` is the model's, as a server; ``callers_tls`` for media addresses with wss."""
        self._board = Board(plan or TurnPlan())
        self._tls = tls
        self._callers_tls = callers_tls
        self._seats: list[_Seat] = []
        self._sessions: set[ModelSession] = set()
        self._dialled = 0
        self._accepted = 0
        self._failed = 0
        self._server: asyncio.Server | None = None
        self._wheel = Wheel(self._on_late)
        self.realtime_url = ""

    async def start(self) -> None:
        """Listen for model sessions on a free loopback port and start the wheel."""
        self._server = await ws_create_server(
            self._accept, "127.0.0.1", 0, use_aiofastnet=True, ssl=self._tls, backlog=BACKLOG
        )
        port = self._server.sockets[0].getsockname()[1]
        origin = f"ws://127.0.0.1:{port}" if self._tls is None else f"wss://localhost:{port}"
        self.realtime_url = f"{origin}/v1/realtime"
        self._wheel.start()

    async def close(self) -> None:
        """Hang up every call and stop listening. Nothing is left running."""
        await self.set_calls(0, "")
        self._wheel.stop()
        for session in list(self._sessions):
            session.close()
        await self._until(lambda: not self._sessions, _DRAIN_S)
        if self._server is not None:
            self._server.close()

    def _accept(self, _: WSUpgradeRequest) -> ModelSession:
        self._accepted += 1
        return ModelSession(self._board, self._sessions, self._accepted)

    def _on_late(self, late_ns: int) -> None:
        self._board.gauges.late_ns.append(late_ns)

    # --- calls ------------------------------------------------------------------------------

    async def set_calls(self, count: int, media_url: str, per_second: float = 200.0) -> None:
        """Open or close calls, at a rate, until there are ``count``; wait until all are talking.

        Calls that the bridge ended are replaced. What does not come about within the deadlines is
        found in the next level's ``not_talking``.
        """
        ended = [seat for seat in self._seats if seat.caller.call.ended_early]
        living = [seat for seat in self._seats if not seat.caller.call.ended_early]
        for seat in ended + living[count:]:
            await self._hang_up(seat)
        self._failed = 0
        begin_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as dials:
            for number in range(count - len(self._seats)):
                await self._sleep_until(begin_s + number / per_second)
                dials.create_task(self._dial(media_url))
        await self._until(lambda: not self._silent(), _TALKING_TIMEOUT_S if count else 0)

    async def _dial(self, media_url: str) -> None:
        self._dialled += 1
        call = CallState(self._dialled)
        self._board.calls[call.number] = call
        seat = _Seat(Caller(self._board, call))
        try:
            async with asyncio.timeout(_DIAL_TIMEOUT_S):
                seat.transport = await self._connect(seat.caller, media_url)
        except (OSError, TimeoutError, WSError):
            del self._board.calls[call.number]
            self._failed += 1
            return
        self._seats.append(seat)
        self._wheel.add(seat.caller.beat)

    async def _connect(self, caller: Caller, media_url: str) -> WSTransport:
        tls = self._callers_tls if media_url.startswith("wss:") else None
        transport, _ = await ws_connect(
            lambda: caller, media_url, use_aiofastnet=True, ssl_context=tls
        )
        return transport

    @contextlib.asynccontextmanager
    async def deciding(self, per_second: float, media_url: str) -> AsyncIterator[Visits]:
        """Meanwhile so many further calls a second come, press a key and are decided."""
        visits = Visits()
        coming = asyncio.create_task(self._let_come(per_second, media_url, visits))
        try:
            yield visits
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _let_come(self, per_second: float, media_url: str, visits: Visits) -> None:
        begin_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for number in itertools.count():
                await self._sleep_until(begin_s + number / per_second)
                tasks.create_task(self._visit(media_url, visits))

    async def _visit(self, media_url: str, visits: Visits) -> None:
        self._dialled += 1
        call = CallState(self._dialled)
        caller = Caller(self._board, call)
        self._board.calls[call.number] = call
        try:
            async with asyncio.timeout(_VISIT_TIMEOUT_S):
                transport = await self._connect(caller, media_url)
                self._wheel.add(caller.beat)
                await asyncio.sleep(_VISIT_S)
                caller.press(PERSON_KEY)
                await transport.wait_disconnected()
        except (OSError, TimeoutError, WSError):
            visits.failed += 1
        else:
            visits.decided += 1
        finally:
            self._wheel.remove(caller.beat)
            caller.hang_up()
            del self._board.calls[call.number]

    async def _hang_up(self, seat: _Seat) -> None:
        self._seats.remove(seat)
        self._wheel.remove(seat.caller.beat)
        del self._board.calls[seat.caller.call.number]
        seat.caller.hang_up()
        if seat.transport is not None:
            await self._gone(seat.transport)

    @staticmethod
    async def _gone(transport: WSTransport) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                await transport.wait_disconnected()
        except TimeoutError:
            transport.underlying_transport.abort()

    def _silent(self) -> int:
        """Calls that no model session hears."""
        return sum(not seat.caller.call.talking for seat in self._seats)

    # --- measuring --------------------------------------------------------------------------

    async def measure(
        self, window_s: float, sample: Callable[[], T], settle_s: float = 1.0
    ) -> Measured[T]:
        """Measure what is sent in the next ``window_s``, after ``settle_s`` of peace."""
        await asyncio.sleep(settle_s)
        gauges, calls = self._board.gauges, [seat.caller.call for seat in self._seats]
        gc.collect()
        gc.freeze()
        gc.disable()
        await asyncio.sleep(_AFTER_COLLECTING_S)
        before = sample()
        from_ns = monotonic_ns()
        earlier = self._open_window(calls)
        floors = {call.number: call.frames_sent for call in calls}
        gauges.open(from_ns, NEVER_NS)
        await asyncio.sleep(window_s)
        gauges.until_ns = monotonic_ns()
        late = Spread.of(gauges.late_ns)
        after = sample()
        gc.enable()
        ceilings = {call.number: (call.frames_sent, call.deltas_sent) for call in calls}
        await self._drain(calls, ceilings)
        frames = sum(ceilings[number][0] - floor for number, floor in floors.items())
        return Measured(self._level(calls, ceilings, frames, late, earlier), before, after)

    def _open_window(self, calls: list[CallState]) -> Faults:
        """Judge from here on; say what was wrong before."""
        earlier = Faults()
        for call in calls:
            earlier += call.uplink.faults(call.uplink.next)
            call.uplink.open(call.frames_sent)
            call.downlink.open(call.deltas_sent)
        return earlier

    async def _drain(self, calls: list[CallState], ceilings: dict[int, tuple[int, int]]) -> None:
        """Give what is on its way a moment to arrive."""
        gauges = self._board.gauges

        def arrived() -> bool:
            return (
                all(
                    call.uplink.next >= ceilings[call.number][0]
                    and call.downlink.next >= ceilings[call.number][1]
                    for call in calls
                )
                and not gauges.clears_owed
            )

        for session in self._sessions:
            session.read_lazily(False)
        await self._until(arrived, _DRAIN_S)
        for session in self._sessions:
            session.read_lazily(True)

    def _level(
        self,
        calls: list[CallState],
        ceilings: dict[int, tuple[int, int]],
        frames: int,
        late: Spread,
        earlier: Faults,
    ) -> RigLevel:
        gauges = self._board.gauges
        uplink, downlink = Faults(), Faults()
        for call in calls:
            frames_sent, deltas_sent = ceilings[call.number]
            uplink += call.uplink.faults(frames_sent)
            downlink += call.downlink.faults(deltas_sent)
        level = RigLevel(
            calls=len(calls),
            window_s=(gauges.until_ns - gauges.from_ns) / 1e9,
            frames=frames,
            uplink=Spread.of(gauges.uplink_ns),
            first_audio=Spread.of(gauges.first_audio_ns),
            delta=Spread.of(gauges.delta_ns),
            barge_in=Spread.of(gauges.barge_in_ns),
            late=late,
            uplink_faults=uplink,
            downlink_faults=downlink,
            earlier_faults=earlier,
            unreadable=gauges.unreadable,
            crossed=gauges.crossed,
            refusals=gauges.refusals,
            clears_missed=gauges.clears_owed,
            clears_elsewhere=gauges.clears_elsewhere,
            not_talking=self._silent() + self._failed,
            ended_early=sum(call.ended_early for call in calls),
        )
        gauges.start_counts()
        return level

    @staticmethod
    async def _until(condition: Callable[[], bool], timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while not condition() and loop.time() < deadline_s:  # noqa: ASYNC110 -- no one event says so
            await asyncio.sleep(_POLL_S)

    @staticmethod
    async def _sleep_until(when_s: float) -> None:
        delay_s = when_s - asyncio.get_running_loop().time()
        if delay_s > 0:
            await asyncio.sleep(delay_s)
