"""The command line as an operator meets it: a real process with its own environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import pytest

ROOT = Path(__file__).parents[3]
WAIT_S = 100
ACCOUNT = "AC" + "a" * 32
TOKEN = "made-up-auth-token"
PUBLIC = "https://voice.example.com"
ENVIRON = {
    "OPENAI_API_KEY": "sk-made-up-key",
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "PUBLIC_URL": PUBLIC,
    "FALLBACK_URL": "https://ivr.example.com/today",
    "REALTIME_URL": "ws://127.0.0.1:9/v1/realtime",
    "POOL_SIZE": "0",
}


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@dataclass
class Served:
    """A process that takes calls."""

    process: subprocess.Popen[str]
    port: int
    twilio_calls: str
    log: Path
    """What it wrote to stderr, as a file that can be read while it runs."""

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> Ended:
        out, _ = self.process.communicate(timeout=WAIT_S)
        return Ended(self.process.returncode, out, self.log.read_text(encoding="utf-8"))


def spawn(
    arguments: list[str],
    environ: dict[str, str],
    before: Callable[[], None] | None = None,
    stderr: IO[str] | int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    path = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "bridge", *arguments],
        cwd=ROOT,
        env=path | {"PYTHONPATH": f"{ROOT / 'codecs'}{os.pathsep}{ROOT}"} | environ,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        preexec_fn=before,
    )


def kept_in(folder: Path) -> dict[str, str]:
    """Where a database is made that nobody named."""
    return {"XDG_STATE_HOME": str(folder / "state")}


Run: TypeAlias = Callable[..., Ended]
Serve: TypeAlias = Callable[..., Served]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A command that ends by itself, with a database of its own."""

    def to_its_end(
        *arguments: str, before: Callable[[], None] | None = None, **environ: str
    ) -> Ended:
        with spawn(list(arguments), kept_in(tmp_path) | environ, before) as process:
            out, err = process.communicate(timeout=WAIT_S)
        return Ended(process.returncode, out, err)

    return to_its_end


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A server on a port of the system's choice; killed at the end if it still runs."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, before: Callable[[], None] | None = None, **environ: str) -> Served:
        environ = ENVIRON | kept_in(tmp_path) | environ
        log = tmp_path / f"serve-{len(started)}.log"
        with log.open("w") as stderr:
            process = spawn(["serve", "--port", "0", *arguments], environ, before, stderr)
        started.append(process)
        assert process.stdout is not None
        announced = [process.stdout.readline() for _ in range(2)]
        assert announced[0].startswith("listening on http://127.0.0.1:"), log.read_text()
        return Served(process, int(announced[0].rpartition(":")[2]), announced[1], log)

    yield start
    for process in started:
        with process:
            process.kill()
