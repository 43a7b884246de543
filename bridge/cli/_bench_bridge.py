"""The bridge of the bench with a part left out or TLS on its own port, to tell what that costs.

Not for calls of people: without its record nobody knows afterwards what was said.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import replace
from pathlib import Path

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
@click.option("--without", type=click.Choice(PARTS))
@click.option("--certificate", envvar="TLS_CERT", type=click.Path(path_type=Path), help="PEM.")
@click.option("--key", envvar="TLS_KEY", type=click.Path(path_type=Path), help="PEM.")
@click.option("--host", default="127.0.0.1")
@click.option("--port", required=True, type=click.IntRange(1, 65535))
def main(
    without: str | None, certificate: Path | None, key: Path | None, host: str, port: int
) -> None:
    """Serve as ``serve --insecure-local`` does, but for what is asked."""
    settings = Settings.from_env(os.environ, host=host, port=port, insecure_local=True)
    configure_logs(settings.log, settings.secrets)

    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)

    def fit(services: Services) -> Services:
        match without:
            case "record":
                return replace(services, keep_record=None)
            case "guard":
                return replace(services, traffic=None)
        return services

    async def run() -> None:
        stop = StopRequests()
        with stop.on_signals(), bind(host, port) as listening:
            parts = await assemble(settings, fit)
            await serve(settings, parts, listening, stop, lambda: None, tls)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())


if __name__ == "__main__":
    main()
