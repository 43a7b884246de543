"""How many calls this generator keeps on time on this machine, before any bridge is to blame."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from loadtest.bench.system import Seats, take_core
from loadtest.harness.callers import Callers
from loadtest.harness.engine import run
from loadtest.harness.plan import RunPlan
from loadtest.harness.search import Trial
from loadtest.harness.target import Target, TargetError

READY_WITHIN_S = 20.0
RAMP_PER_S = 50.0


@dataclass(frozen=True, slots=True)
class GeneratorTrials:
    """Runs against something that costs next to nothing: a sink, or a bare relay to our model."""

    callers: Callers
    window_s: float
    with_model: bool
    realtime_port: int
    port: int

    async def attempt(self, calls: int) -> Trial:
        plan = RunPlan(
            callers=self.callers,
            target=Target("media", f"ws://127.0.0.1:{self.port}/media"),
            calls=calls,
            rate_per_s=RAMP_PER_S,
            for_s=calls / RAMP_PER_S + self.window_s,
            realtime="simulated" if self.with_model else "none",
            realtime_port=self.realtime_port,
            profile="fast",
        )
        result = await run(plan)
        late = result.figures["generator_late"]
        busy = float(result.machine["generator_cpu_share"])
        failed = result.counts["calls_failed"]
        return Trial(
            calls,
            complaints=(f"calls failed ({failed})",) if failed else (),
            generator_late=not result.valid,
            figures=(
                ("generator_late.p50", late.p50),
                ("generator_late.p99", late.p99),
                ("generator_cpu_share", round(busy, 3)),
                (
                    "cpu_us_per_frame",
                    round(busy * result.seconds * 1e6 / _frames(result.counts), 2),
                ),
            ),
            cpu_share=busy,
        )


def _frames(counts: dict[str, int]) -> int:
    return max(1, counts["frames"])


@contextlib.asynccontextmanager
async def far_end(port: int, realtime_port: int | None) -> AsyncIterator[bool]:
    """A sink, or with a model's port a relay to it, on a core of its own; this process on another.

    Yields whether both may run at real-time priority.
    """
    seats = Seats.find()
    process = _spawn(port, realtime_port, seats)
    cores = os.sched_getaffinity(0)
    try:
        await _until_there(port)
        yield take_core(seats.rig_core)
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cores)
        process.terminate()
        await asyncio.to_thread(process.wait)


def _spawn(port: int, realtime_port: int | None, seats: Seats) -> subprocess.Popen[bytes]:
    module = "loadtest.harness.sink" if realtime_port is None else _RELAY
    command = [sys.executable, "-m", module, "--port", str(port)]
    if realtime_port is not None:
        command += [
            "--realtime-url",
            f"ws://127.0.0.1:{realtime_port}/v1/realtime?model=gpt-realtime",
        ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own modules
    if seats.system_core is not None:
        os.sched_setaffinity(process.pid, {seats.system_core})
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(process.pid, os.SCHED_FIFO, os.sched_param(1))
    return process


_RELAY = "loadtest.bench.relays.picows_relay"


async def _until_there(port: int) -> None:
    target = Target("media", f"ws://127.0.0.1:{port}/media")
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                await target.check_there()
            except TargetError:
                await asyncio.sleep(0.1)
            else:
                return


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
