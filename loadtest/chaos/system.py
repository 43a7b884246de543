"""The system under test: ``triage-bridge serve`` with several workers, as an operator starts it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from loadtest.bench.system import inherited

READY_WITHIN_S = 90.0
STOP_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds, from /proc."""

    sockets: int
    files: int
    rss_kib: int


class ServingProcesses:
    """``async with ServingProcesses(...)``: answering inside, stopped and gone outside."""

    def __init__(self, environ: Mapping[str, str], port: int, workers: int, folder: Path) -> None:
        self._environ = environ
        self._port = port
        self._workers = workers
        self._log = folder / "serve.log"
        self._process: asyncio.subprocess.Process | None = None
        self._told: set[int] = set()
        self.status: int | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the processes are not running: use it as `async with`")
        return self._process.pid

    async def __aenter__(self) -> ServingProcesses:
        command = [sys.executable, "-m", "bridge", "serve"]
        command += ["--port", str(self._port), "--workers", str(self._workers)]
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env={**inherited(os.environ), **self._environ},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        stdout = self._process.stdout
        if stdout is None:
            raise RuntimeError("stdout was asked for and is not there")
        async with asyncio.timeout(READY_WITHIN_S):
            announced = await stdout.readline()
        if not announced.startswith(b"listening on"):
            raise RuntimeError(f"the processes did not start: {self._log.read_text()[-2000:]}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """SIGTERM, then wait; SIGKILL for what does not go."""
        if self._process is None or self.status is not None:
            return
        self.tell(self.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                self.status = await self._process.wait()
        except TimeoutError:
            self.tell(self.pid, signal.SIGKILL)
            self.status = await self._process.wait()

    def tell(self, pid: int, number: signal.Signals) -> None:
        if number != signal.SIGHUP:
            self._told.add(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def worker_pids(self) -> list[int]:
        """Those that live, oldest first, whether they take calls or leave."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return sorted(int(pid) for pid in children.split())

    def serving_pids(self) -> list[int]:
        """Those that take calls, or did so when they last said anything, oldest first."""
        takes: dict[int, bool] = {}
        for entry in self.logged("worker_ready", "worker_leaving"):
            takes[entry["pid"]] = entry["event"] == "worker_ready"
        return [pid for pid in self.worker_pids() if takes.get(pid) and pid not in self._told]

    def held(self) -> dict[int, Held]:
        """By worker; a worker that goes meanwhile is left out."""
        found = {}
        for pid in self.worker_pids():
            with contextlib.suppress(OSError):
                found[pid] = _held(pid)
        return found

    def logged(self, *events: str) -> Iterator[dict[str, Any]]:
        """What the processes logged of these kinds so far."""
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = entry_in(line)
            if entry.get("event") in events:
                yield entry


def entry_in(line: str) -> dict[str, Any]:
    """The entry that a line ends with; empty where there is none, or not all of it yet.

    A process that is killed as it writes leaves half a line, and the next one goes on behind it.
    """
    start = line.find("{")
    while start >= 0:
        with contextlib.suppress(json.JSONDecodeError):
            found: dict[str, Any] = json.loads(line[start:])
            return found
        start = line.find('{"', start + 1)
    return {}


def _held(pid: int) -> Held:
    folder = Path(f"/proc/{pid}/fd")
    links = [os.readlink(folder / name) for name in os.listdir(folder)]
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    rss = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return Held(
        sockets=sum(link.startswith("socket:") for link in links),
        files=len(links),
        rss_kib=int(rss.split()[1]),
    )
