"""``triage-bridge serve``: take calls."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence

import click
import structlog

from bridge.config import Settings
from bridge.errors import ConfigurationError
from bridge.eventloop import new_event_loop
from bridge.logs import configure_logs
from bridge.openfiles import ListeningSocket, ensure_open_files
from bridge.origin import Origin
from bridge.process import StopRequests, assemble, serve
from bridge.supervisor import READY, STOPPING, Supervisor, WorkerPlan, tied_to
from bridge.web.server import BACKLOG, bind

log = structlog.get_logger("bridge.serve")

MAX_WORKERS = 64


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
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, MAX_WORKERS),
    help="Processes on that port. SIGHUP replaces them one by one.",
)
@click.option(
    "--insecure-local",
    is_flag=True,
    help="No signatures and no tokens, for development; listens on loopback only.",
)
@click.option("--inherited", nargs=2, type=int, hidden=True, help="For workers: socket and line.")
def command(
    host: str, port: int, workers: int, insecure_local: bool, inherited: tuple[int, int] | None
) -> None:
    """Take calls until SIGTERM; settings come from the environment.

    SIGTERM lets calls end, a second one hands them over at once. SIGHUP reads the triage files
    anew, and changes nothing if one of them is faulty.
    """
    settings = Settings.from_env(os.environ, host=host, port=port, insecure_local=insecure_local)
    ensure_open_files(settings.limits.max_calls)
    configure_logs(settings.log, settings.secrets)
    if inherited is not None:
        _be_worker(settings, *inherited)
        return
    listening = _bind(host, port)
    with listening:
        settings = settings.bound_to(listening.getsockname()[1])
        if workers == 1:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(_serve(settings, listening))
            return
        asyncio.run(_check(settings))  # said once, and tables made by one
        if not asyncio.run(_supervise(settings, listening, workers)):
            raise click.ClickException("the workers could not be started")


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


# --- several processes ------------------------------------------------------------------------


async def _check(settings: Settings) -> None:
    """Raises ConfigurationError for whatever would keep a worker from starting."""
    parts = await assemble(settings)
    await parts.outward.close()
    if parts.books is not None:
        await parts.books.close()


async def _supervise(settings: Settings, listening: socket.socket, workers: int) -> bool:
    listening.listen(BACKLOG)
    plan = WorkerPlan(
        lambda *inherited: _worker_command(settings, inherited), workers, settings.limits.drain_s
    )
    supervisor = Supervisor(plan, listening, lambda: _is_sound(settings))
    return await supervisor.run(lambda: _announce(settings))


def _is_sound(settings: Settings) -> bool:
    """Whether workers could start on the triage files as they are now; else all faults are told."""
    try:
        asyncio.run(_check(settings))
    except ConfigurationError as error:
        log.error("reload_refused", faults=list(error.faults))
        return False
    except Exception as error:
        log.exception("reload_refused", faults=[type(error).__name__])
        return False
    return True


def _worker_command(settings: Settings, inherited: Sequence[int]) -> list[str]:
    web = settings.web
    command = [sys.executable, "-m", "bridge", "serve", "--host", web.host]
    command += ["--port", str(web.port), "--inherited", *map(str, inherited)]
    return [*command, "--insecure-local"] if web.insecure_local else command


def _be_worker(settings: Settings, listening_fd: int, line_fd: int) -> None:
    listening, line = ListeningSocket(fileno=listening_fd), socket.socket(fileno=line_fd)
    with listening, line, asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_work(settings, listening, line))


async def _work(settings: Settings, listening: socket.socket, line: socket.socket) -> None:
    stop = StopRequests()
    with stop.on_signals():
        parts = await assemble(settings)
        async with _tied(line, stop):
            await serve(settings, parts, listening, stop, lambda: _tell_ready(line))


@contextlib.asynccontextmanager
async def _tied(line: socket.socket, stop: StopRequests) -> AsyncIterator[None]:
    """Without its supervisor a worker lets its calls end and goes."""
    watching = asyncio.create_task(tied_to(line, stop.request), name="supervisor-line")
    telling = asyncio.create_task(_tell_stopping(line, stop), name="supervisor-told")
    try:
        yield
    finally:
        watching.cancel()
        telling.cancel()
        await asyncio.wait({watching, telling})


async def _tell_stopping(line: socket.socket, stop: StopRequests) -> None:
    """Our supervisor may know nothing of it; then it puts another in our place."""
    await stop.asked()
    with contextlib.suppress(OSError):  # it is gone
        line.send(STOPPING)


def _tell_ready(line: socket.socket) -> None:
    line.send(READY)
