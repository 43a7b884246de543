"""``python -m loadtest.realtime``: the simulated server as a program of its own."""

from __future__ import annotations

import asyncio
import gc
import signal
import ssl
from pathlib import Path

import click
import uvloop

from .latency import PROFILES
from .lines import LineError
from .scenario import ScenarioError
from .scenario_file import load_scenario, scenario_names
from .server import SimulatedRealtime, SimulatorOptions


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=9000, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--scenario", default="reactive", show_default=True, help="Name, or path of a TOML file."
)
@click.option("--profile", default="typical", show_default=True, type=click.Choice(list(PROFILES)))
@click.option("--seed", default=0, show_default=True, help="Same seed, same delays and ids.")
@click.option("--accept-delay-ms", default=0, show_default=True, type=click.IntRange(0))
@click.option(
    "--dialect",
    default="ga",
    show_default=True,
    type=click.Choice(["ga", "beta"]),
    help="beta: clients that send OpenAI-Beta: realtime=v1 are served as the beta did.",
)
@click.option("--api-key", "api_keys", multiple=True, help="Let in only these keys.")
@click.option("--tls-cert", type=click.Path(exists=True, path_type=Path), help="Serve wss.")
@click.option("--tls-key", type=click.Path(exists=True, path_type=Path))
@click.option("--list-scenarios", is_flag=True, help="Say which scenarios are shipped, and stop.")
def main(
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    list_scenarios: bool,
    api_keys: tuple[str, ...],
    **options: object,
) -> None:
    """Serve a simulated OpenAI Realtime API until interrupted."""
    if list_scenarios:
        for name in scenario_names():
            click.echo(f"{name:12} {load_scenario(name).description}")
        return
    tls = None
    if tls_cert is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(tls_cert, tls_key)
    try:
        simulator = SimulatorOptions(
            api_keys=api_keys or None,
            keep_events=False,
            **options,  # type: ignore[arg-type] # click has checked names and types
        )
        uvloop.run(_serve(simulator, host, port, tls))
    except (ScenarioError, LineError, OSError) as error:
        raise click.ClickException(str(error)) from error


async def _serve(
    options: SimulatorOptions, host: str, port: int, tls: ssl.SSLContext | None
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with SimulatedRealtime(options, host=host, port=port, tls=tls) as server:
        gc.freeze()  # what is loaded by now stays: no need to look through it again
        click.echo(f"serving {server.url}", err=True)
        await stopped.wait()
    counts = server.connections
    click.echo(f"{counts.total} sessions, at most {counts.peak} at once", err=True)


if __name__ == "__main__":
    main()
