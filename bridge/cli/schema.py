"""``triage-bridge schema``: what a triage file may hold, for editors."""

from __future__ import annotations

import json

import click

from dispatch.triagefile import json_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of triage files, so that editors complete them."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
