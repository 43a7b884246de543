"""``triage-bridge stats``: figures per day and tenant."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from bridge.cli._store import (
    dollars,
    json_option,
    print_json,
    print_table,
    tenant_option,
    with_stores,
)
from bridge.store.settings import StoreSettings
from bridge.store.statistics import DAY_S, DayFigures, day_figures
from bridge.store.store import Store

HEAD = (
    "DAY (UTC)",
    "TENANT",
    "CALLS",
    "TAKEN",
    "MODEL AUDIO p50/p95",
    "AUDIO OUT p50/p95",
    "COST",
    "INTENTS",
    "OUTCOMES",
)


@click.command("stats")
@click.option(
    "--days",
    default=7,
    show_default=True,
    type=click.IntRange(1, 3650),
    help="So many days, today among them.",
)
@tenant_option
@json_option
def command(days: int, tenant: str | None, as_json: bool) -> None:
    """Calls, share taken, intents, outcomes, latencies and cost, per day and tenant.

    Latencies in milliseconds: of the model's first audio, and of the first audio at the caller.
    """
    tomorrow = (time.time() // DAY_S + 1) * DAY_S

    async def read(stores: list[Store], _settings: StoreSettings) -> list[DayFigures]:
        window = (tomorrow - days * DAY_S, tomorrow)
        return [one for store in stores for one in await day_figures(store, *window, tenant)]

    found = sorted(with_stores(read, tenant), key=lambda one: (-one.day.toordinal(), one.tenant))
    if as_json:
        print_json([asdict(one) | {"taken_share": one.taken_share} for one in found])
    elif found:
        print_table(HEAD, [_row(one) for one in found])
    else:
        click.echo("no calls")


def _row(one: DayFigures) -> tuple[str, ...]:
    unknown = f" + {one.cost_unknown} unknown" if one.cost_unknown else ""
    return (
        one.day.isoformat(),
        one.tenant or "-",
        str(one.calls),
        f"{one.taken_share:.1%}",
        _pair(one.first_model_audio_p50_ms, one.first_model_audio_p95_ms),
        _pair(one.first_audio_out_p50_ms, one.first_audio_out_p95_ms),
        dollars(one.cost_usd) + unknown,
        _counted(one.intents),
        _counted(one.outcomes),
    )


def _pair(p50: float | None, p95: float | None) -> str:
    return "-" if p50 is None or p95 is None else f"{p50:.0f}/{p95:.0f}"


def _counted(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return " ".join(f"{name}:{count}" for name, count in ordered) or "-"
