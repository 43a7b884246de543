"""The limit on open files: made to fit before the first call, and watched while calls come.

Nothing of ours should run into it; what a stranger opens and leaves open can.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from typing import Any

import structlog

from bridge.errors import ConfigurationError

log = structlog.get_logger("bridge.files")

FILES_PER_CALL = 3
"""The caller's socket, the model's, and a webhook's."""
FILES_BESIDE_CALLS = 512
"""Pooled model sessions, health checks, the store, the interpreter's own."""
RESERVE = 32
"""With fewer left no call is taken: a call in progress may need its model again."""
LOOK_EACH_S = 1.0
NONE_LEFT = (errno.EMFILE, errno.ENFILE)


def ensure_open_files(max_calls: int) -> None:
    """Raise the soft limit to what they need; ConfigurationError if the hard one is lower."""
    needed = max_calls * FILES_PER_CALL + FILES_BESIDE_CALLS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        fault = (
            f"MAX_CALLS is {max_calls}, which needs {needed} open files, but this process may open "
            f"{hard}: raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower MAX_CALLS"
        )
        raise ConfigurationError([fault])
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class FreeFiles:
    """Whether a further call would find the descriptors that it needs; looked at once a second."""

    def __init__(self) -> None:
        self._looked_at = -LOOK_EACH_S
        self._short = False

    def short(self, now: float) -> bool:
        """``now`` is of a monotonic clock, in seconds."""
        if now - self._looked_at >= LOOK_EACH_S:
            self._looked_at = now
            short = _free_files() < RESERVE
            if short != self._short:
                log.error("files_short") if short else log.info("files_enough")
            self._short = short
        return self._short


def _free_files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return RESERVE
    try:
        return soft - len(os.listdir("/dev/fd"))
    except OSError as error:  # looking takes one as well
        return 0 if error.errno in NONE_LEFT else RESERVE


class ListeningSocket(socket.socket):
    """Where no descriptor is left, turns connections away at once instead of letting them wait.

    Twilio then asks the number's fallback URL. One descriptor is kept for that: without it a
    connection stays in the queue, and the event loop is woken for it again and again.
    """

    _spare: int | None = None
    _turned_away = 0

    def listen(self, *backlog: int) -> None:
        super().listen(*backlog)
        self._keep_spare()

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            accepted = super().accept()
        except OSError as error:
            if error.errno not in NONE_LEFT:
                raise
            self._turn_away()
            raise BlockingIOError(errno.EAGAIN, "no descriptor is left") from error
        if self._turned_away:
            log.info("files_again", turned_away=self._turned_away)
            self._turned_away = 0
        return accepted

    def close(self) -> None:
        self._give_up_spare()
        super().close()

    def detach(self) -> int:
        self._give_up_spare()
        return super().detach()

    def _turn_away(self) -> None:
        if not self._turned_away:
            log.error("files_exhausted")
        self._turned_away += 1
        self._give_up_spare()
        with contextlib.suppress(OSError):  # somebody else was quicker
            super().accept()[0].close()
        self._keep_spare()

    def _keep_spare(self) -> None:
        if self._spare is not None:
            return
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _give_up_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
