"""Processes killed at every step: one outcome a call, each side effect once."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from bridge.store.store import open_store
from bridge.store.tables import decisions, outbox
from tests.bridge.store.conftest import FreshUrl
from tests.bridge.store.process import KINDS, LEASE_S, Life, as_json

ROOT = Path(__file__).parents[3]


class Nursery:
    """Lives that are led in processes of their own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.bridge.store.process"]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def lead(self, *lives: Life) -> list[dict[str, Any]]:
        """How they ended, led at the same time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(as_json(*lives) + "\n")
        self._process.stdin.flush()
        ended: list[dict[str, Any]] = orjson.loads(self._process.stdout.readline())
        return ended

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
async def life(fresh_url: FreshUrl, tmp_path: Path) -> Life:
    url = await fresh_url()
    await (await open_store(url, clock=lambda: 0.0)).close()
    return Life(url, str(tmp_path / "delivered"), calls=(), route="flex")


async def stored(url: str) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Outcomes by call, and side effects by state."""
    store = await open_store(url, clock=lambda: 0.0)
    rows = await store.database.read(
        lambda c: (c.execute(select(decisions)).all(), c.execute(select(outbox)).all())
    )
    await store.close()
    return (
        Counter((row.call_sid, row.route) for row in rows[0]),
        Counter(row.state for row in rows[1]),
    )


def delivered(life: Life) -> Counter[str]:
    return Counter(Path(life.delivered).read_text().splitlines())


async def test_killed_at_each_step_it_leaves_one_outcome_and_each_effect_once(
    life: Life, nursery: Nursery
) -> None:
    """A call for each step, and in the end a process that finds them all as they were left."""
    heard: dict[str, str] = {}
    sids: list[str] = []
    killed = True
    while killed:
        sids.append(f"CA{len(sids)}")
        victim = replace(life, calls=(sids[-1],), die_at=len(sids) - 1)
        (ended,) = await asyncio.to_thread(nursery.lead, victim)
        killed = ended["killed"]
        heard |= dict(ended["answers"])
    heir = replace(life, calls=tuple(sids), route="fallback", now_s=life.now_s + 10 * LEASE_S)
    (last,) = await asyncio.to_thread(nursery.lead, heir)
    answers = dict(last["answers"])
    outcomes, states = await stored(life.url)
    assert outcomes == Counter(dict.fromkeys(answers.items(), 1))
    assert answers == answers | heard
    assert set(answers.values()) == {"flex", "fallback"}
    assert delivered(life) == Counter(f"{sid} {kind}" for sid in sids for kind in KINDS)
    assert states == {"done": len(sids) * len(KINDS)}
    assert len(sids) > 20  # so often it was killed at least


@pytest.mark.parametrize("seed", [1, 2])
async def test_processes_that_race_and_are_killed_anywhere_agree_on_one_outcome(
    seed: int, life: Life, nursery: Nursery
) -> None:
    rng = random.Random(seed)
    sids = tuple(f"CA{number}" for number in range(8))
    heard: dict[str, set[str]] = {sid: set() for sid in sids}
    for attempt in range(3):
        lives = [
            replace(
                life,
                calls=tuple(rng.sample(sids, len(sids))),
                route=f"route-{attempt}-{number}",
                die_at=rng.randrange(150),
                now_s=1_000_000.0 + attempt * (LEASE_S + 1),
                seed=seed,
            )
            for number in range(3)
        ]
        for ended in await asyncio.to_thread(nursery.lead, *lives):
            assert ended["killed"] or ended["status"] == 0
            for sid, route in ended["answers"]:
                heard[sid].add(route)
    (last,) = await asyncio.to_thread(
        nursery.lead, replace(life, calls=sids, now_s=1_000_000.0 + 10 * LEASE_S)
    )
    outcomes, states = await stored(life.url)
    for sid, route in last["answers"]:
        heard[sid].add(route)
    assert outcomes == Counter({(sid, *routes): 1 for sid, routes in heard.items()})
    assert delivered(life) == Counter({f"{sid} {kind}": 1 for sid in sids for kind in KINDS})
    assert states == {"done": len(sids) * len(KINDS)}
