"""Our own bridge as a subprocess, set up as an operator would, on this machine only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from loadtest.bench.system import inherited

READY_WITHIN_S = 90.0
STOP_WITHIN_S = 20.0
PUBLIC = "https://bridge.example"
FLOW = "FW" + "f" * 32
TRIAGE_FILE = Path(__file__).parent / "triage.toml"
_LAST_WORDS_BYTES = 2000


class ServingError(Exception):
    """The bridge did not come up; the message has its last words."""


class ServingBridge:
    """``async with ServingBridge(...)``: listening inside, stopped and gone outside.

    Without ``secure`` it takes calls unsigned and without tokens. ``folder`` gets its log and
    database, ``port`` must be free.
    """

    def __init__(
        self, environ: Mapping[str, str], port: int, folder: Path, *, workers: int, secure: bool
    ) -> None:
        self._environ = environ
        self._port = port
        self._folder = folder
        self._workers = workers
        self._secure = secure
        self.log = folder / "bridge.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the bridge is not running: use it as `async with`")
        return self._process.pid

    @property
    def media_url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/media"

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "bridge", "serve", "--host", "127.0.0.1"]
        command += ["--port", str(self._port), "--workers", str(self._workers)]
        return command if self._secure else [*command, "--insecure-local"]

    async def __aenter__(self) -> ServingBridge:
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                env={**inherited(os.environ), **self._environ},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the harness, which then stops it
            )
        try:
            await self._until_ready(self._process)
        except BaseException:
            await self._stop()
            raise
        return self

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            raise RuntimeError("stdout was asked for and is not there")
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                announced = await process.stdout.readline()
        except TimeoutError:
            announced = b""
        if not announced.startswith(b"listening on"):
            words = self.log.read_bytes()[-_LAST_WORDS_BYTES:].decode(errors="replace")
            raise ServingError(f"our own bridge did not start; its last words:\n{words.strip()}")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        """Twice: no call is left, and nobody will ask for one that was."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        for _ in range(2):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await process.wait()
                    return
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own, workers included
            await process.wait()
