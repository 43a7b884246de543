"""A system under test: a subprocess on its own core, watched through /proc."""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from types import TracebackType

READY_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.1
_LOG_TAIL_BYTES = 2_000
_FIFO_PRIORITY = 1
_CPUCLOCK_SCHED = 2
"""Linux: the clock of all CPU time of a process, as clock_getcpuclockid(3) makes its number."""

_INHERITED = frozenset({"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV"})

SYSTEMS: Mapping[str, tuple[str, ...]] = {
    "bridge": ("bridge", "serve", "--insecure-local"),
    "bridge-no-record": ("bridge.cli._bench_bridge", "--without", "record"),
    "bridge-no-guard": ("bridge.cli._bench_bridge", "--without", "guard"),
    "websockets": ("loadtest.bench.relays.websockets_relay",),
    "picows": ("loadtest.bench.relays.picows_relay",),
}
"""Module to run and its first arguments; all take ``--host`` and ``--port``."""

_BRIDGE_WITH_TLS = "bridge.cli._bench_bridge"
"""``serve`` leaves TLS on its port to what stands in front."""
BRIDGE, YARDSTICK, CEILING = "bridge", "websockets", "picows"


class BenchError(Exception):
    """The bench cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Seats:
    """Which core the system gets, which the rig; None where there is only one to share."""

    system_core: int | None
    rig_core: int | None

    @classmethod
    def find(cls) -> Seats:
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[1]) if len(cores) > 1 else cls(None, None)


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What a system needs to run at all; the operator's own settings of a bridge are not its."""
    return {
        name: value
        for name, value in environ.items()
        if name in _INHERITED or name.startswith(("LC_", "PYTHON"))
    }


def raise_file_limit() -> int:
    """Allow as many open files as this process may; children inherit it. Returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def take_core(core: int | None) -> bool:
    """Bind this process to ``core`` at real-time priority. False if that is not permitted."""
    if core is None:
        return False  # real-time processes that share a core would starve each other
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_FIFO_PRIORITY))
    except PermissionError:
        return False
    return True


@contextmanager
def alone() -> Iterator[None]:
    """Be this machine's only bench; BenchError if there is another: both would measure both."""
    with (Path(tempfile.gettempdir()) / "triage-bridge-bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError("another bench is running on this machine") from None
        yield


@dataclass(frozen=True, slots=True)
class Reading:
    """What the system has used so far."""

    cpu_ns: int
    rss_kib: int


class System:
    """``async with System(...)``: running and ready inside, stopped outside.

    Runs in ``folder``, which gets its log and whatever files it makes.
    """

    def __init__(
        self, name: str, environment: Mapping[str, str], seats: Seats, folder: Path
    ) -> None:
        self.name = name
        self._environment = environment
        self._seats = seats
        self._folder = folder
        self._log = folder / f"{name}.log"
        self._port = _free_port()
        # Of its own: in an older one the guard remembers how all calls hung up at once.
        self._database = f"sqlite:///{folder.resolve() / f'calls-{self._port}.db'}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _tls(self) -> bool:
        return "TLS_CERT" in self._environment

    @property
    def media_url(self) -> str:
        return f"{'wss://localhost' if self._tls else 'ws://127.0.0.1'}:{self._port}/media"

    def _command(self) -> list[str]:
        module, *arguments = SYSTEMS[self.name]
        if self._tls and self.name == BRIDGE:
            module, arguments = _BRIDGE_WITH_TLS, []
        command = [sys.executable, "-m", module, *arguments]
        return [*command, "--host", "127.0.0.1", "--port", str(self._port)]

    async def __aenter__(self) -> System:
        # A child inherits core and priority, so take the system's place for a moment.
        cores = os.sched_getaffinity(0)
        if self._seats.system_core is not None:
            os.sched_setaffinity(0, {self._seats.system_core})
        try:
            self._process = self._spawn()
        finally:
            os.sched_setaffinity(0, cores)
        try:
            await self._until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 -- our own modules
                self._command(),
                cwd=self._folder,
                env={**inherited(os.environ), "DATABASE_URL": self._database, **self._environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # In a thread: what the system says on closing is for the rig in this one to answer.
        await asyncio.to_thread(self.stop)

    async def _until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + READY_TIMEOUT_S
        while loop.time() < deadline_s:
            self.check_alive()
            if await asyncio.to_thread(self._ready):
                return
            await asyncio.sleep(_POLL_S)
        raise BenchError(
            f"{self.name} was not ready in {READY_TIMEOUT_S:.0f} s{self._last_words()}"
        )

    def _ready(self) -> bool:
        if self._tls:
            trusted = ssl.create_default_context(cafile=self._environment["TLS_CERT"])
            connection: HTTPConnection = HTTPSConnection(
                "localhost", self._port, timeout=1.0, context=trusted
            )
        else:
            connection = HTTPConnection("127.0.0.1", self._port, timeout=1.0)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def check_alive(self) -> int:
        """The process's id; BenchError if it has ended."""
        if self._process is None:
            raise BenchError(f"{self.name} was not started")
        code = self._process.poll()
        if code is not None:
            raise BenchError(f"{self.name} ended with code {code}{self._last_words()}")
        return self._process.pid

    def _last_words(self) -> str:
        text = self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return f"; its last output:\n{text}" if text else "; it said nothing"

    def read(self) -> Reading:
        """CPU time of all its threads and its resident memory."""
        process_id = self.check_alive()
        cpu_ns = time.clock_gettime_ns(~process_id << 3 | _CPUCLOCK_SCHED)
        pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
        return Reading(cpu_ns, pages * resource.getpagesize() // 1024)

    def stop(self) -> None:
        """Ask it to stop, then make it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_TIMEOUT_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
