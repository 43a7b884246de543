"""The bridge of the bench with a part left out, so that the part's cost can be told.

Not for calls of people: without its record nobody knows afterwards what was said.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import click

from bridge.config import Settings
from bridge.eventloop import new_event_loop
from bridge.legs.runner import Services
from bridge.logs import configure_logs
from bridge.process import StopRequests, assemble, serve
from bridge.web.server import bind

PARTS = ("record", "guard")
"""The record of a call as it goes on; the watch over rollout and admission."""


@click.command()
@click.option("--without", required=True, type=click.Choice(PARTS))
@click.option("--host", default="127.0.0.1")
@click.option("--port", required=True, type=click.IntRange(1, 65535))
def main(without: str, host: str, port: int) -> None:
    """Serve as ``serve --insecure-local`` does, without one part."""
    settings = Settings.from_env(os.environ, host=host, port=port, insecure_local=True)
    configure_logs(settings.log, settings.secrets)

    def fit(services: Services) -> Services:
        if without == "record":
            return replace(services, keep_record=None)
        return replace(services, traffic=None)

    async def run() -> None:
        stop = StopRequests()
        with stop.on_signals(), bind(host, port) as listening:
            await serve(settings, await assemble(settings, fit), listening, stop, lambda: None)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())


if __name__ == "__main__":
    main()
