"""``triage-bridge export CALLSID``: all that is stored of a call, as JSON."""

from __future__ import annotations

import click

from bridge.cli._store import FAILED, print_json, with_stores
from bridge.cli.calls import found_call


@click.command("export")
@click.argument("call_sid", metavar="CALLSID")
def command(call_sid: str) -> None:
    """Print everything that is stored of one call as JSON: decrypted, nothing masked."""
    call = with_stores(lambda stores, _settings: found_call(stores, call_sid))
    if call is None:
        click.echo(f"no call {call_sid}", err=True)
        raise SystemExit(FAILED)
    print_json(call)
