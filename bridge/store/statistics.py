"""Figures of many calls: per day (UTC) and tenant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Column, Connection, Select, case, exists, func, select

from bridge.store.reading import READ_WITHIN_S, UNDECIDED
from bridge.store.store import Store
from bridge.store.tables import calls, hops, timeline, turns, usage

DAY_S = 86_400


@dataclass(slots=True)
class DayFigures:
    """One tenant's day. Latencies in milliseconds, None where no turn was measured."""

    day: dt.date
    tenant: str
    calls: int = 0
    taken: int = 0
    """By the AI."""
    intents: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    turns: int = 0
    first_model_audio_p50_ms: float | None = None
    first_model_audio_p95_ms: float | None = None
    first_audio_out_p50_ms: float | None = None
    first_audio_out_p95_ms: float | None = None
    cost_usd: float = 0.0
    """Of the calls whose cost is known."""
    cost_unknown: int = 0
    """Conversations whose cost is not, those among them that have no end: killed, or going on."""

    @property
    def taken_share(self) -> float:
        return self.taken / self.calls if self.calls else 0.0


async def day_figures(
    store: Store, started_from: float, started_before: float, tenant: str | None = None
) -> list[DayFigures]:
    """Newest day first, tenants by name. Times are Unix seconds."""
    window = [calls.c.started_at >= started_from, calls.c.started_at < started_before]
    if tenant is not None:
        window.append(calls.c.tenant == tenant)

    def read(connection: Connection) -> list[DayFigures]:
        found: dict[tuple[int, str], DayFigures] = {}

        def figures(row: Any) -> DayFigures:  # noqa: ANN401 - a row that has day and tenant
            day = dt.datetime.fromtimestamp(row.day * DAY_S, dt.UTC).date()
            return found.setdefault((row.day, row.tenant), DayFigures(day, row.tenant))

        for row in connection.execute(_counts().where(*window)):
            _count(figures(row), row)
        for row in connection.execute(_spent().where(*window)):
            figures(row).cost_usd = row.usd or 0.0
            figures(row).cost_unknown += row.unknown
        for row in connection.execute(_unended().where(*window)):
            figures(row).cost_unknown += row.n
        for name in ("first_model_audio", "first_audio_out"):
            rows = connection.execute(_measured(turns.c[f"{name}_ms"]).where(*window))
            for _, group in groupby(rows, key=lambda row: (row.day, row.tenant)):
                _measure(name, figures, list(group))
        return list(_ordered(found))

    return await store.database.read(read, within_s=READ_WITHIN_S)


def _ordered(found: dict[tuple[int, str], DayFigures]) -> Iterator[DayFigures]:
    for key in sorted(found, key=lambda key: (-key[0], key[1])):
        yield found[key]


def _counts() -> Select[Any]:
    kinds = (calls.c.day, calls.c.tenant, calls.c.side, calls.c.intent, calls.c.route)
    return select(*kinds, func.count().label("n")).group_by(*kinds)


def _count(figures: DayFigures, row: Any) -> None:  # noqa: ANN401 - a row of ``_counts``
    figures.calls += row.n
    if row.side != "ai":
        return
    figures.taken += row.n
    intent, outcome = row.intent or UNDECIDED, row.route or UNDECIDED
    figures.intents[intent] = figures.intents.get(intent, 0) + row.n
    figures.outcomes[outcome] = figures.outcomes.get(outcome, 0) + row.n


def _spent() -> Select[Any]:
    unknown = func.sum(case((usage.c.total_usd.is_(None), 1), else_=0))
    return (
        select(
            calls.c.day,
            calls.c.tenant,
            func.sum(usage.c.total_usd).label("usd"),
            unknown.label("unknown"),
        )
        .join(usage, usage.c.call_sid == calls.c.call_sid)
        .group_by(calls.c.day, calls.c.tenant)
    )


def _unended() -> Select[Any]:
    """Conversations that began, and whose use was not written."""
    this = (hops.c.call_sid, hops.c.hop)
    began = exists().where(timeline.c.call_sid == this[0], timeline.c.hop == this[1])
    ended = exists().where(usage.c.call_sid == this[0], usage.c.hop == this[1])
    return (
        select(calls.c.day, calls.c.tenant, func.count().label("n"))
        .join(hops, hops.c.call_sid == calls.c.call_sid)
        .where(~ended, began)
        .group_by(calls.c.day, calls.c.tenant)
    )


def _measure(name: str, figures: Callable[[Any], DayFigures], rows: Sequence[Any]) -> None:
    """``rows`` of ``_measured``, all of one day and tenant."""
    counts = [(row.ms, row.n) for row in rows]
    found = figures(rows[0])
    found.turns = max(found.turns, sum(n for _, n in counts))
    setattr(found, f"{name}_p50_ms", _percentile(counts, 50))
    setattr(found, f"{name}_p95_ms", _percentile(counts, 95))


def _measured(value: Column[Any]) -> Select[Any]:
    """How many turns took how many whole milliseconds: far fewer rows than turns."""
    ms = func.round(value)
    return (
        select(calls.c.day, calls.c.tenant, ms.label("ms"), func.count().label("n"))
        .join(turns, turns.c.call_sid == calls.c.call_sid)
        .where(value.is_not(None))
        .group_by(calls.c.day, calls.c.tenant, ms)
        .order_by(calls.c.day, calls.c.tenant, ms)
    )


def _percentile(counts: Sequence[tuple[float, int]], per_cent: int) -> float:
    """The smallest value that so many per cent do not exceed. ``counts`` ascend."""
    wanted = sum(n for _, n in counts) * per_cent / 100
    below = 0
    for ms, n in counts:
        below += n
        if below >= wanted:
            return ms
    raise ValueError("nothing was counted")
