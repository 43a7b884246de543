"""Several serving processes on one port: started, replaced when they die, rolled one by one.

The listening socket is opened here and inherited by every worker, so that no connection waits at
a process that is gone: whoever lives accepts it. This process holds no call and answers nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

log = structlog.get_logger("bridge.supervisor")

READY, STOPPING = b"r", b"s"
"""What a worker says on its line: that it takes calls, and that somebody told it to stop."""
OUR_OWN_S = 0.5
"""So soon we would know if we were told as well, as service managers do."""
READY_WITHIN_S = 60.0
SETTLED_S = 10.0
"""A worker that took calls, or lived so long, died of something else than its start: it is replaced
at once. Others are tried again less and less often."""
BACKOFF_S, BACKOFF_MAX_S = 0.5, 30.0
KILL_AFTER_S = 30.0
"""Beyond the drain: what a worker may need to hand over, answer and write down."""


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """``command`` gives a worker's command line from its two inherited file descriptors: the
    listening socket and the line that ties it to us."""

    command: Callable[[int, int], Sequence[str]]
    count: int
    drain_s: float


class Worker:
    """One process, its number in the row, and the line it is tied by."""

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, line: socket.socket
    ) -> None:
        self.number = number
        self.process = process
        self._line = line
        self.began_at = asyncio.get_running_loop().time()
        self.served = False
        """It took calls, however it ended."""
        self.log = log.bind(worker=number, pid=process.pid)

    async def ready(self) -> bool:
        """Whether it takes calls; False when it ended instead, or did not get so far in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                return self._heard(await loop.sock_recv(self._line, 1)) == READY
        except (TimeoutError, OSError):
            return False

    async def told_to_stop(self) -> bool:
        """Waits for the worker to say so; False when its line ends instead."""
        try:
            while said := await asyncio.get_running_loop().sock_recv(self._line, 1):
                if self._heard(said) == STOPPING:
                    return True
        except OSError:
            pass
        return False

    def _heard(self, said: bytes) -> bytes:
        if said == READY:
            self.served = True
            self.log.info("worker_ready")
        return said

    def tell(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def ended(self) -> int:
        status = await self.process.wait()
        self._line.close()
        return status

    async def end(self, within_s: float) -> None:
        """It was told to stop: wait, and kill it when it takes too long."""
        try:
            async with asyncio.timeout(within_s):
                await self.ended()
        except TimeoutError:
            self.log.error("worker_killed", after_s=within_s)
            self.tell(signal.SIGKILL)
            await self.ended()


class Supervisor:
    """``run`` once. ``check`` raises nothing: whether what a new worker would read is sound."""

    def __init__(
        self, plan: WorkerPlan, listening: socket.socket, check: Callable[[], bool]
    ) -> None:
        self._plan = plan
        self._listening = listening
        self._check = check
        self._row: dict[int, Worker] = {}
        self._failures: dict[int, int] = {}
        self._leaving: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._roll = asyncio.Event()
        self._stop_signals = 0

    async def run(self, started: Callable[[], None]) -> bool:
        """Until told to stop; False when the first workers could not be started."""
        async with self._signals():
            try:
                if not await self._start_all():
                    return False
                started()
                self._own(self._roll_when_asked())
                await self._stopping.wait()
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await self._stop_all()
        log.info("all_stopped")
        return True

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("supervisor_task_failed", error=repr(task.exception())[:300])

    @contextlib.asynccontextmanager
    async def _signals(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        wishes = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: self._roll.set,
        }
        for number, wish in wishes.items():
            loop.add_signal_handler(number, wish)
        try:
            yield
        finally:
            for number in wishes:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        """The first time workers let their calls end; after that they hurry."""
        self._stop_signals += 1
        self._stopping.set()
        if self._stop_signals > 1:
            for worker in self._everybody():
                worker.tell(signal.SIGTERM)

    def _everybody(self) -> list[Worker]:
        return [*self._row.values(), *self._leaving]

    async def _stop_all(self) -> None:
        """Tell all of them once, and wait for all of them."""
        everybody = self._everybody()
        for worker in everybody:
            worker.tell(signal.SIGTERM)
        await asyncio.gather(*(worker.end(self._patience_s) for worker in everybody))

    @property
    def _patience_s(self) -> float:
        return self._plan.drain_s + KILL_AFTER_S

    # --- one worker ----------------------------------------------------------------------------

    async def _start_all(self) -> bool:
        for number in range(self._plan.count):
            worker = await self._spawn(number)
            if worker is None:
                return False
            self._row[number] = worker
        row = list(self._row.values())
        answers = await asyncio.gather(*(worker.ready() for worker in row))
        for worker in row:
            self._place(worker)
        return all(answers)

    def _place(self, worker: Worker) -> None:
        """From now on this is the one of its number, and another follows when it goes."""
        self._row[worker.number] = worker
        self._own(self._watch(worker))

    async def _spawn(self, number: int) -> Worker | None:
        """None where the system starts nothing: no memory, no process, no thread to watch it, no
        program there while another version is put in its place."""
        with contextlib.ExitStack() as kept:
            try:
                ours, theirs = map(kept.enter_context, socket.socketpair())
                ours.setblocking(False)
                process = await self._process(theirs)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                log.error("worker_not_started", worker=number, error=str(error)[:200])
                return None
            theirs.close()
            kept.pop_all()
        worker = Worker(number, process, ours)
        worker.log.info("worker_started")
        return worker

    async def _process(self, line: socket.socket) -> asyncio.subprocess.Process:
        handed = (self._listening.fileno(), line.fileno())
        return await asyncio.create_subprocess_exec(
            *self._plan.command(*handed),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=handed,
            start_new_session=True,  # a terminal's Ctrl-C reaches them through us, once
        )

    async def _watch(self, worker: Worker) -> None:
        """Until it is not the one of its number any more, which it ends by leaving or dying."""
        if await worker.told_to_stop():
            await asyncio.sleep(OUR_OWN_S)
            if self._stands(worker) and not self._stopping.is_set():
                await self._relieve(worker)
            return
        status = await worker.ended()
        if self._stands(worker):
            await self._follow(worker, status)

    async def _relieve(self, worker: Worker) -> None:
        """It alone was told to stop: another stands in its place before it ceases to accept."""
        worker.log.info("worker_relieved")
        while not await self._replace(worker.number):  # noqa: ASYNC110 - tried again
            await asyncio.sleep(BACKOFF_MAX_S)

    async def _follow(self, worker: Worker, status: int) -> None:
        lived_s = asyncio.get_running_loop().time() - worker.began_at
        wait_s = self._wait_s(worker.number, well=worker.served or lived_s > SETTLED_S)
        worker.log.error("worker_died", status=status, again_in_s=wait_s)
        await asyncio.sleep(wait_s)
        while self._stands(worker):
            new = await self._spawn(worker.number)
            if new is not None:
                self._place(new)
                return
            await asyncio.sleep(self._wait_s(worker.number, well=False))

    def _wait_s(self, number: int, *, well: bool) -> float:
        """Until the next start; ``well``: the last one was no failure."""
        failures = 0 if well else self._failures.get(number, 0) + 1
        self._failures[number] = failures
        return min(BACKOFF_S * 2.0 ** min(failures - 1, 10), BACKOFF_MAX_S) if failures else 0.0

    def _stands(self, worker: Worker) -> bool:
        return self._row.get(worker.number) is worker

    # --- rolling -------------------------------------------------------------------------------

    async def _roll_when_asked(self) -> None:
        while True:
            await self._roll.wait()
            self._roll.clear()
            try:
                await self._roll_once()
            except Exception:  # whatever it was: the next SIGHUP is to be heard
                log.exception("roll_failed")

    async def _roll_once(self) -> None:
        if not await asyncio.to_thread(self._check):
            return
        if len(self._leaving) >= 2 * self._plan.count:
            log.error("roll_refused", still_draining=len(self._leaving))
            return
        for number in range(self._plan.count):
            if not await self._replace(number):
                log.error("roll_stopped", worker=number)
                return
        log.info("rolled", workers=self._plan.count)

    async def _replace(self, number: int) -> bool:
        """The new one is ready before the old one begins to leave."""
        new = await self._spawn(number)
        if new is None:
            return False
        try:
            ready = await new.ready()
        except asyncio.CancelledError:
            new.tell(signal.SIGKILL)
            raise
        if not ready:
            new.tell(signal.SIGKILL)
            await new.ended()
            return False
        old = self._row[number]
        self._place(new)
        self._own(self._see_off(old))
        return True

    async def _see_off(self, worker: Worker) -> None:
        self._leaving.add(worker)
        worker.log.info("worker_leaving")
        worker.tell(signal.SIGUSR1)
        await worker.end(self._patience_s)
        self._leaving.discard(worker)


async def tied_to(line: socket.socket, gone: Callable[[], None]) -> None:
    """A worker's side of the line: call ``gone`` when the supervisor is no more."""
    line.setblocking(False)
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        await loop.sock_recv(line, 1)
    gone()
