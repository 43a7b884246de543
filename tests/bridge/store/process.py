"""A process that answers for calls, and dies where it is told: for tests that kill.

Run as a program it is a nursery: it reads one JSON object a line, forks a process for it that has
everything imported already, and prints how that process ended and what it said.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine, event

from bridge.store.ledger import CallEnd, CallOpening, SideEffect, StoredDecision
from bridge.store.outbox import Delivery, Outbox
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import open_store
from bridge.store.worker import OutboxWorker, TryAgainError, WorkerPace

KINDS = ("callback_task", "sms")
NEVER = 1_000_000
LEASE_S = 60.0


@dataclass(frozen=True)
class Life:
    """What one process does: for each call open, decide, deliver, answer ``/after``, close."""

    url: str
    delivered: str
    """The file that stands for Twilio: a line for each side effect that was carried out."""
    calls: tuple[str, ...]
    route: str
    """What this process would decide."""
    die_at: int = NEVER
    """The step (a statement, or one of ours) at which it kills itself."""
    now_s: float = 1_000_000.0
    seed: int = 0


class Steps:
    """Counts steps, and is killed at one of them: not a chance to clean up."""

    def __init__(self, die_at: int) -> None:
        self._left = die_at

    def take(self, *_event: object) -> None:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Twilio:
    """Carries side effects out, one line each; can be asked what it carried out before."""

    def __init__(self, file: Path, steps: Steps) -> None:
        self._file = file
        self._steps = steps

    async def perform(self, delivery: Delivery) -> str:
        line = f"{delivery.call_sid} {delivery.kind}"
        self._steps.take()
        if delivery.in_doubt and line in self._carried_out():
            return "found"
        self._steps.take()
        if delivery.attempt == 1 and delivery.kind == "sms":
            raise TryAgainError("429")
        self._append(line)
        self._steps.take()
        return "made"

    def _carried_out(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []

    def _append(self, line: str) -> None:
        handle = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)


async def live(life: Life) -> list[list[str]]:
    """What it answered: call and route."""
    steps = Steps(life.die_at)
    started = time.monotonic()

    def clock() -> float:
        return life.now_s + time.monotonic() - started

    store = await open_store(life.url, clock=clock)
    event.listen(Engine, "before_cursor_execute", steps.take)
    ledger = SqlLedger(store, clock, lambda: os.urandom(8).hex())
    worker = OutboxWorker(
        Outbox(store, clock),
        dict.fromkeys(KINDS, Twilio(Path(life.delivered), steps).perform),
        owner=str(os.getpid()),
        clock=clock,
        rng=random.Random(life.seed),
        pace=WorkerPace(lease_s=LEASE_S, first_retry_s=0.001, longest_retry_s=0.001),
    )
    answers = [[sid, await _answer(sid, life.route, ledger, clock())] for sid in life.calls]
    while any(
        entry.due_at <= clock() for entry in await Outbox(store, clock).entries(("pending",), 999)
    ):
        await worker.work_off()
    for sid in life.calls:
        await ledger.close_call(CallEnd(sid, "completed", clock()))
    await store.close()
    return answers


async def _answer(sid: str, route: str, ledger: SqlLedger, now: float) -> str:
    """From the webhook to ``/after``: where this process says that the call goes."""
    opening = CallOpening(sid, "AC1", "default", "+15550100001", "+15550100002", "number", now)
    if await ledger.opening(sid) is None:
        opening = await ledger.open_call(opening)
        token = await ledger.mint_token(sid, 60)
        await ledger.redeem_token(token, sid, "AC1")
    decision = StoredDecision(sid, 0, route, "billing", "model", f"<{route}/>", now)
    effects = [SideEffect(kind, {"route": route}) for kind in KINDS]
    standing = await ledger.decision(sid, 0)
    if standing is None:
        standing = await ledger.record_decision(decision, effects)
    return standing.route


# --- the nursery ----------------------------------------------------------------------------


def run_in_a_fork(life: Life) -> dict[str, Any]:
    """Starts now; the answer says how it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            answers = asyncio.run(live(life))
            os.write(writing, json.dumps(answers).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    return {"pid": child, "pipe": reading}


def collect(running: dict[str, Any]) -> dict[str, Any]:
    with os.fdopen(running["pipe"]) as pipe:
        said = pipe.read()
    _, status = os.waitpid(running["pid"], 0)
    return {
        "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "status": os.waitstatus_to_exitcode(status),
        "answers": json.loads(said) if said else [],
    }


def main() -> None:
    """One line in: a list of lives, led at the same time. One line out: how they ended."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    for line in sys.stdin:
        running = [
            run_in_a_fork(replace(Life(**life), calls=tuple(life["calls"])))
            for life in json.loads(line)
        ]
        print(json.dumps([collect(one) for one in running]), flush=True)  # noqa: T201


def as_json(*lives: Life) -> str:
    return json.dumps([asdict(life) for life in lives])


if __name__ == "__main__":
    main()
