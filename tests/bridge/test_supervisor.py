"""The supervisor itself, with programs that may be missing: what it cannot start it tries again.

What it does with real workers is in cli/test_workers.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from bridge.supervisor import Supervisor, WorkerPlan

WITHIN_S = 30
WORKER = """
import signal, socket, sys
socket.socket(fileno=int(sys.argv[1])).send(b"r")
signal.sigwait({signal.SIGUSR1, signal.SIGTERM})
"""


class Program:
    """A worker's program, which can be taken away and put back as a deployment does."""

    def __init__(self, folder: Path) -> None:
        self._there = folder / "python"
        self.put_back()

    def command(self, _listening: int, line: int) -> Sequence[str]:
        return [str(self._there), "-c", WORKER, str(line)]

    def take_away(self) -> None:
        self._there.unlink()

    def put_back(self) -> None:
        self._there.symlink_to(sys.executable)


@asynccontextmanager
async def supervised(
    program: Program, check: Callable[[], bool] = lambda: True
) -> AsyncIterator[list[Any]]:
    """Two workers that take calls; gives what is logged."""
    started = asyncio.Event()
    with socket.socket() as listening, capture_logs() as logged:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        supervisor = Supervisor(WorkerPlan(program.command, 2, 1.0), listening, check)
        running = asyncio.create_task(supervisor.run(started.set))
        try:
            async with asyncio.timeout(WITHIN_S):
                await started.wait()
            yield logged
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(WITHIN_S):
                assert await running
        finally:
            running.cancel()
            await asyncio.wait({running})


async def until(logged: list[Any], event: str, count: int = 1) -> list[Any]:
    """Wait, bounded, for the ``count``-th event; there is nobody who could tell us of it."""
    async with asyncio.timeout(WITHIN_S):
        while len(found := _of(logged, event)) < count:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    return found


def _of(logged: list[Any], event: str) -> list[Any]:
    return [one for one in logged if one["event"] == event]


async def test_a_worker_whose_program_is_away_when_it_dies_is_replaced_when_it_is_back(
    tmp_path: Path,
) -> None:
    program = Program(tmp_path)
    async with supervised(program) as logged:
        program.take_away()
        os.kill(logged[0]["pid"], signal.SIGKILL)
        tries = await until(logged, "worker_not_started", 2)
        program.put_back()
        ready = await until(logged, "worker_ready", 3)
    assert [(one["worker"], "No such file" in one["error"]) for one in tries[:2]] == [(0, True)] * 2
    assert ready[2]["worker"] == 0


async def test_a_roll_that_cannot_start_its_first_worker_is_given_up_and_the_next_one_made(
    tmp_path: Path,
) -> None:
    program = Program(tmp_path)
    async with supervised(program) as logged:
        program.take_away()
        os.kill(os.getpid(), signal.SIGHUP)
        await until(logged, "roll_stopped")
        program.put_back()
        os.kill(os.getpid(), signal.SIGHUP)
        await until(logged, "rolled")
    events = [one["event"] for one in logged]
    assert (events.count("worker_died"), events.count("worker_leaving")) == (0, 2)


async def test_a_roll_that_fails_for_whatever_reason_leaves_the_next_one_possible(
    tmp_path: Path,
) -> None:
    troubles = [MemoryError()]

    def check() -> bool:
        if troubles:
            raise troubles.pop()
        return True

    async with supervised(Program(tmp_path), check) as logged:
        os.kill(os.getpid(), signal.SIGHUP)
        await until(logged, "roll_failed")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(logged, "rolled")
    assert [one["event"] for one in logged].count("worker_died") == 0


async def test_workers_that_cannot_be_started_at_all_are_no_start(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.take_away()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        supervisor = Supervisor(WorkerPlan(program.command, 2, 1.0), listening, lambda: True)
        assert not await supervisor.run(lambda: None)
