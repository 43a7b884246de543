"""``triage-bridge calls``: the list of calls; ``calls show CALLSID``: one of them in full."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, replace
from typing import Any

import click

from bridge.cli._show import shown
from bridge.cli._store import (
    FAILED,
    dollars,
    json_option,
    masked,
    masked_words,
    moment,
    one_line,
    print_json,
    print_table,
    reveal_option,
    start_of,
    tenant_option,
    with_stores,
)
from bridge.store.cipher import normalised
from bridge.store.reading import (
    MAX_LISTED,
    TODAY,
    UNDECIDED,
    CallFilter,
    CallLine,
    list_calls,
    read_call,
)
from bridge.store.settings import StoreSettings
from bridge.store.store import Store
from dispatch.context import is_e164

DAY_S = 86_400
HEAD = (
    "STARTED (UTC)",
    "CALL",
    "TENANT",
    "CALLER",
    "ENTRY",
    "INTENT",
    "CONF",
    "OUTCOME",
    "REASON",
    "END",
    "SECONDS",
    "TURNS",
    "COST",
)


def _caller(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """A number as it is stored. Other addresses, which have a scheme, stay."""
    if value is None or ":" in value:
        return value
    number = normalised(value)
    if not is_e164(number):
        raise click.BadParameter("expected a number in full, as in +15550100001")
    return number


@click.group("calls", invoke_without_command=True)
@tenant_option
@click.option("--intent", help="Only calls with this intent, or undecided.")
@click.option(
    "--outcome",
    help="Only calls that went this way: flex, studio_return, dial, ..., today, undecided.",
)
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Only this day, in UTC.")
@click.option(
    "--caller",
    callback=_caller,
    help="Only calls from this telephone number, as in +15550100001, or SIP or client address.",
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, MAX_LISTED))
@json_option
@reveal_option
@click.pass_context
def command(
    context: click.Context,
    /,
    tenant: str | None,
    day: dt.datetime | None,
    as_json: bool,
    reveal: bool,
    **wanted: Any,  # noqa: ANN401 - the options that are fields of the filter
) -> None:
    """List calls, newest first. Numbers are masked unless --reveal."""
    if context.invoked_subcommand is not None:
        return
    calls = CallFilter(tenant=tenant, **wanted)
    if day is not None:
        midnight = start_of(day)
        calls = replace(calls, started_from=midnight, started_before=midnight + DAY_S)

    async def read(stores: list[Store], _settings: StoreSettings) -> list[CallLine]:
        found = [line for store in stores for line in await list_calls(store, calls)]
        return sorted(found, key=lambda line: -line.started_at)[: calls.limit]

    lines = with_stores(read, tenant)
    if as_json:
        print_json([asdict(line) | {"caller": masked(line.caller, reveal)} for line in lines])
    elif lines:
        print_table(HEAD, [_row(line, reveal) for line in lines])
    else:
        click.echo("no calls")


@command.command("show")
@click.argument("call_sid", metavar="CALLSID")
@json_option
@reveal_option
def show(call_sid: str, as_json: bool, reveal: bool) -> None:
    """Show one call: what was said, decided and done. Numbers are masked unless --reveal."""
    call = with_stores(lambda stores, _settings: found_call(stores, call_sid))
    if call is None:
        click.echo(f"no call {call_sid}", err=True)
        raise SystemExit(FAILED)
    if as_json:
        print_json(_for_machines(call, reveal))
    else:
        click.echo("\n".join(shown(call, reveal)))


async def found_call(stores: list[Store], call_sid: str) -> dict[str, Any] | None:
    """In whichever database it lives."""
    for store in stores:
        call = await read_call(store, call_sid)
        if call is not None:
            return call
    return None


def _row(line: CallLine, reveal: bool) -> tuple[str, ...]:
    return (
        moment(line.started_at),
        line.call_sid,
        line.tenant or "-",
        masked(line.caller, reveal) if line.caller else "-",
        line.entry,
        line.intent or (UNDECIDED if line.side == "ai" else "-"),
        "-" if line.confidence is None else f"{line.confidence:.2f}",
        line.route or (UNDECIDED if line.side == "ai" else TODAY),
        one_line(line.reason or line.side_reason or "-"),
        line.end_status or "-",
        "-" if line.duration_s is None else str(line.duration_s),
        str(line.turns),
        dollars(line.cost_usd) if line.conversations else "-",
    )


def _for_machines(call: dict[str, Any], reveal: bool) -> dict[str, Any]:
    """Unrevealed: numbers masked, also in what was said, and without what was captured."""
    if reveal:
        return call
    plain = {name: value for name, value in call.items() if name not in ("hops", "reports")}
    plain["call"] = call["call"] | {"caller": masked(call["call"]["caller"], reveal)}
    plain["timeline"] = [
        one | {"words": one["words"] and masked_words(one["words"], reveal=False)}
        for one in call["timeline"]
    ]
    plain["decisions"] = [
        _without(one, "twiml", "decision", "envelope") for one in call["decisions"]
    ]
    plain["side_effects"] = [_without(one, "payload") for one in call["side_effects"]]
    return plain


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
