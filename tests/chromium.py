"""A Chromium of the test run's own, driven over the Chrome DevTools Protocol.

https://chromedevtools.github.io/devtools-protocol/: JSON over a websocket; one session per page.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
INSTALL_WITHIN_S = 300
ANSWER_WITHIN_S = 30
MOST_BYTES = 2**26


class ChromiumMissingError(Exception):
    """There is no Chromium here, and it cannot be put here."""


class PageError(Exception):
    """The browser refused a command, or the page's script raised."""


class Page:
    """One page. ``complaints`` are console errors, uncaught exceptions and logged errors."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        """Addresses that were asked for."""

    async def attach(self) -> None:
        target = await self.send("Target.createTarget", url="about:blank")
        attached = await self.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")

    async def listen(self) -> None:
        """Until the browser is gone."""
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            else:
                self._happened(message["method"], message["params"])

    def _happened(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(str(params["entry"]))
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])

    async def send(self, method: str, **params: object) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps(message))
        async with asyncio.timeout(ANSWER_WITHIN_S):
            found = await answer
        if "error" in found:
            raise PageError(f"{method}: {found['error']}")
        return dict(found["result"])

    async def open(self, url: str) -> None:
        """Returns when the page and all that it needs is there."""
        self._loaded.clear()
        await self.send("Page.navigate", url=url)
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await self._loaded.wait()

    async def resize(self, width: int, height: int = 900) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def prefer(self, scheme: str, media: str = "screen") -> None:
        """Colours ``light`` or ``dark``; ``media`` may be ``print``."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.send("Emulation.setEmulatedMedia", media=media, features=[feature])

    async def run(self, script: str) -> Any:  # noqa: ANN401 - what JSON can say
        """The value of an expression in the page."""
        result = await self.send("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise PageError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    async def picture(self) -> bytes:
        """The whole page, as PNG."""
        shot = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    async def printed(self) -> bytes:
        """As PDF."""
        return base64.b64decode((await self.send("Page.printToPDF"))["data"])


@contextlib.asynccontextmanager
async def page() -> AsyncIterator[Page]:
    """A page of a browser that lives as long. Raises ChromiumMissingError."""
    binary = _binary()
    if binary is None:
        binary = await asyncio.to_thread(_installed)
    with tempfile.TemporaryDirectory(prefix="triage-bridge-chromium-") as folder:
        process = _started(binary, folder)
        try:
            address = await asyncio.to_thread(_address, process)
            async with connect(address, max_size=MOST_BYTES) as socket, asyncio.TaskGroup() as own:
                made = Page(socket)
                listening = own.create_task(made.listen())
                await made.attach()
                yield made
                listening.cancel()
        finally:
            await asyncio.to_thread(_end, process)


def _started(binary: str, folder: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - a browser found by its name, and fixed words
        [
            *(binary, "--headless", "--remote-debugging-port=0", f"--user-data-dir={folder}"),
            *("--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"),
            *(("--no-sandbox",) if os.geteuid() == 0 else ()),  # its sandbox refuses root
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # its many processes are one group, ended together
    )


def _address(process: subprocess.Popen[str]) -> str:
    """It says on standard error where it listens."""
    watchdog = threading.Timer(ANSWER_WITHIN_S, process.kill)
    watchdog.start()
    said: list[str] = []
    try:
        for line in process.stderr or ():
            said.append(line)
            _, found, address = line.partition("DevTools listening on ")
            if found:
                return address.strip()
    finally:
        watchdog.cancel()
    raise ChromiumMissingError(f"Chromium did not start: {''.join(said)[-500:]}")


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its folder is temporary: nothing is to be saved
    process.wait(ANSWER_WITHIN_S)
    if process.stderr is not None:
        process.stderr.close()


def _binary() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def _installed() -> str:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ChromiumMissingError(f"no Chromium here: none of {', '.join(NAMES)} is on the path")
    command = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with (Path(tempfile.gettempdir()) / "triage-bridge-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one run ask at the same time
        try:
            subprocess.run(  # noqa: S603 - fixed words
                command, check=True, capture_output=True, timeout=INSTALL_WITHIN_S, env=environment
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ChromiumMissingError(f"Chromium could not be installed: {error}") from error
    binary = _binary()
    if binary is None:
        raise ChromiumMissingError("Chromium was installed, but is not on the path")
    return binary
