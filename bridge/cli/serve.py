"""``triage-bridge serve``: take calls."""

from __future__ import annotations

import asyncio
import os
import socket

import click

from bridge.config import Settings
from bridge.eventloop import new_event_loop
from bridge.logs import configure_logs
from bridge.openfiles import ensure_open_files
from bridge.origin import Origin
from bridge.process import StopRequests, assemble, serve
from bridge.web.server import bind


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 lets the system choose.",
)
@click.option(
    "--insecure-local",
    is_flag=True,
    help="No signatures and no tokens, for development; listens on loopback only.",
)
def command(host: str, port: int, insecure_local: bool) -> None:
    """Take calls until SIGTERM; settings come from the environment."""
    settings = Settings.from_env(os.environ, host=host, port=port, insecure_local=insecure_local)
    ensure_open_files(settings.limits.max_calls)
    configure_logs(settings.log, settings.secrets)
    listening = _bind(host, port)
    with listening:
        settings = settings.bound_to(listening.getsockname()[1])
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(settings, listening))


def _bind(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error


async def _serve(settings: Settings, listening: socket.socket) -> None:
    stop = StopRequests()
    with stop.on_signals():
        parts = await assemble(settings)
        await serve(settings, parts, listening, stop, lambda: _announce(settings))


def _announce(settings: Settings) -> None:
    listening = Origin("http", settings.web.host.strip("[]"), settings.web.port)
    click.echo(f"listening on {listening.url('')}")
    click.echo(f"Twilio calls {settings.web.origin.url('/voice')}")
