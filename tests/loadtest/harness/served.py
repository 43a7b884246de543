"""A run against a bridge of the test's own: a handler of media sockets, served on loopback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from loadtest.harness.callers import read_callers
from loadtest.harness.engine import run
from loadtest.harness.gates import parse_all
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import Result
from loadtest.harness.target import Target
from loadtest.scenarios.line import PERFECT


async def run_against_handler(
    handle: Callable[[ServerConnection], Awaitable[None]],
    scenario: Path,
    *,
    calls: int,
    gates: Sequence[str],
    **plan: Any,  # noqa: ANN401 - the fields of ``RunPlan``
) -> Result:
    """Each of ``calls`` is made once, by the callers of ``scenario``."""
    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        made = RunPlan(
            callers=read_callers([str(scenario)], [], None, PERFECT),
            target=Target("media", f"ws://127.0.0.1:{port}/media"),
            calls=calls,
            most_calls=calls,
            rate_per_s=20.0,
            gates=parse_all(gates),
            **plan,
        )
        return await run(made)
