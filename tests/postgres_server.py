"""A PostgreSQL server of the test run's own: made, started and removed by it.

The workers of one run share a server; the first to need it starts it, the last to leave stops it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALL_WITHIN_S = 300
START_WITHIN_S = 60
USER = "triage"


class PostgresMissingError(Exception):
    """There is no PostgreSQL here, and it cannot be put here."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server on loopback. ``USER`` may do anything, without a password."""

    port: int
    folder: Path

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"


def start(*, safe: bool = False) -> PostgresServer:
    """Raises PostgresMissingError. ``safe`` keeps every promise about power cuts, and is slower."""
    binaries = _binaries() or _installed()
    folder = Path(tempfile.mkdtemp(prefix="triage-bridge-postgres-"))
    with _removed_on_failure(folder):
        _hand_over(folder)
        _run(binaries / "initdb", "-D", folder / "data", "-U", USER, "-A", "trust", "-N")
        port = _free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c max_connections=200"
        if not safe:
            options += " -F -c synchronous_commit=off -c full_page_writes=off"
        _run(
            *(binaries / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w"),
            *("-t", START_WITHIN_S, "-o", options, "start"),
        )
    return PostgresServer(port, folder)


def stop(server: PostgresServer) -> None:
    """The server is gone, and its files."""
    binaries = _binaries()
    if binaries is not None:
        _run(binaries / "pg_ctl", "-D", server.folder / "data", "-m", "immediate", "-w", "stop")
    shutil.rmtree(server.folder, ignore_errors=True)


@contextlib.contextmanager
def shared(meeting_point: Path) -> Iterator[PostgresServer]:
    """The one server of everybody who meets at this folder."""
    server = _join(meeting_point)
    try:
        yield server
    finally:
        _leave(meeting_point)


def _join(meeting_point: Path) -> PostgresServer:
    with _locked(meeting_point) as notes:
        state = _read(notes)
        if not state["users"]:
            server = start()
            state = {"port": server.port, "folder": str(server.folder), "users": 0}
        state["users"] += 1
        notes.write_text(json.dumps(state))
        return PostgresServer(state["port"], Path(state["folder"]))


def _leave(meeting_point: Path) -> None:
    with _locked(meeting_point) as notes:
        state = _read(notes)
        state["users"] -= 1
        notes.write_text(json.dumps(state))
        if not state["users"]:
            stop(PostgresServer(state["port"], Path(state["folder"])))


def _read(notes: Path) -> dict[str, Any]:
    return dict(json.loads(notes.read_text())) if notes.exists() else {"users": 0}


@contextlib.contextmanager
def _locked(meeting_point: Path) -> Iterator[Path]:
    with (meeting_point / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield meeting_point / "postgres.json"


def _binaries() -> Path | None:
    """The folder of ``initdb``. Debian keeps it off the path, by version."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


def _installed() -> Path:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PostgresMissingError(
            "no PostgreSQL here: initdb is neither on the path nor installed"
        )
    command = ["apt-get", "install", "-y", "--no-install-recommends", "postgresql"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(  # noqa: S603 - fixed words
            command, check=True, capture_output=True, timeout=INSTALL_WITHIN_S, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresMissingError(f"PostgreSQL could not be installed: {error}") from error
    binaries = _binaries()
    if binaries is None:
        raise PostgresMissingError("PostgreSQL was installed, but has no initdb")
    return binaries


def _hand_over(folder: Path) -> None:
    """PostgreSQL refuses to run as root: as root, somebody else's it must be."""
    if os.geteuid() == 0:
        user = _unprivileged()
        os.chown(folder, user.pw_uid, user.pw_gid)


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresMissingError("running as root, and there is neither a user postgres nor nobody")


def _run(*command: object) -> None:
    words = [str(word) for word in command]
    user = _unprivileged() if os.geteuid() == 0 else None
    result = subprocess.run(  # noqa: S603 - fixed words and paths of ours
        words,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # never a pipe: the server would hold it open
        stderr=subprocess.DEVNULL,
        cwd="/",
        timeout=2 * START_WITHIN_S,
        user=None if user is None else user.pw_uid,
        group=None if user is None else user.pw_gid,
        extra_groups=None if user is None else [],
        start_new_session=True,  # Ctrl-C is for us; the server is stopped by us
    )
    if result.returncode != 0:
        raise PostgresMissingError(f"{words[0]} failed with {result.returncode}")


@contextlib.contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
