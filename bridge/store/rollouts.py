"""Rollouts in the database: every process reads them twice a second, operators and guards write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from bridge.rollouts import Change, Plan, RolloutConflictError, Rollouts, RolloutState, Tally
from bridge.store.database import Database
from bridge.store.dialect import insert_new, insert_or_replace
from bridge.store.store import Store
from bridge.store.tables import calls, rollout_changes, rollout_counts, rollout_plans, rollouts

KEPT_S = 2 * 3600
"""Longer than any guard looks back."""


class SqlRollouts:
    """The ``RolloutStore`` of all processes that share a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Rollouts:
        return await self._database.read(_read)

    async def change(self, change: Change) -> None:
        await self._database.write(lambda connection: _change(connection, change))

    async def history(self, tenant: str | None = None, limit: int = 50) -> Sequence[Change]:
        table = rollout_changes
        query = select(table).order_by(table.c.at.desc(), table.c.version.desc()).limit(limit)
        if tenant is not None:
            query = query.where(table.c.tenant == tenant)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(_change_of(row) for row in rows)

    async def steps_back(self) -> Mapping[str, int]:
        table = rollout_changes
        query = (
            select(table.c.tenant, func.count().label("number"))
            .where(table.c.action == "guard")
            .group_by(table.c.tenant)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.tenant: int(row.number) for row in rows}

    async def publish(self, plans: Mapping[str, Plan]) -> None:
        rows = [
            {"tenant": tenant, "plan": orjson.dumps(asdict(plan)).decode()}
            for tenant, plan in sorted(plans.items())  # in one order, or two processes may deadlock
        ]
        if rows:
            await self._database.write(
                lambda connection: connection.execute(
                    insert_or_replace(connection, rollout_plans), rows
                )
            )

    async def count(self, process: str, at: float, tallies: Mapping[str, Tally]) -> None:
        rows = [
            {"tenant": tenant, "at": at, "process": process, "kind": kind, "count": count}
            for tenant, tally in tallies.items()
            for kind, count in tally.items()
        ]

        def add(connection: Connection) -> None:
            if rows:
                connection.execute(insert_new(connection, rollout_counts), rows)
            old = rollout_counts.c.at < at - KEPT_S
            connection.execute(delete(rollout_counts).where(old))

        await self._database.write(add, durable=False)

    async def counted(self, since: Mapping[str, float]) -> Mapping[str, Tally]:
        found: dict[str, dict[str, int]] = {tenant: {} for tenant in since}
        if not since:
            return found
        table = rollout_counts
        wanted = (and_(table.c.tenant == one, table.c.at >= at) for one, at in since.items())
        query = (
            select(table.c.tenant, table.c.kind, func.sum(table.c.count).label("total"))
            .where(or_(*wanted))
            .group_by(table.c.tenant, table.c.kind)
        )
        for row in await self._database.read(lambda connection: connection.execute(query).all()):
            found[row.tenant][row.kind] = int(row.total)
        return found


async def sides(store: Store, tenant: str, since: float) -> Mapping[tuple[str, str, str], int]:
    """How many calls of a tenant came in since then, by called number, side and reason."""
    reason = func.coalesce(calls.c.side_reason, "")
    query = (
        select(calls.c.called, calls.c.side, reason.label("reason"), func.count().label("number"))
        .where(calls.c.tenant == tenant, calls.c.started_at >= since)
        .group_by(calls.c.called, calls.c.side, reason)
    )
    rows = await store.database.read(lambda connection: connection.execute(query).all())
    return {(row.called, row.side, row.reason): int(row.number) for row in rows}


def _read(connection: Connection) -> Rollouts:
    states = connection.execute(select(rollouts)).all()
    plans = connection.execute(select(rollout_plans)).all()
    return Rollouts(
        {row.tenant: _state_of(row) for row in states},
        {row.tenant: _plan_of(row.plan) for row in plans},
    )


def _change(connection: Connection, change: Change) -> None:
    before, after = change.before, change.after
    row = {
        "tenant": after.tenant,
        "version": after.version,
        "killed": after.killed,
        "shares": orjson.dumps(dict(after.shares)).decode(),
        "changed_at": after.changed_at,
    }
    if before.version == 0:
        written = connection.execute(insert_new(connection, rollouts), row)
    else:
        here = and_(rollouts.c.tenant == after.tenant, rollouts.c.version == before.version)
        written = connection.execute(update(rollouts).where(here).values(row))
    if written.rowcount:
        connection.execute(insert(rollout_changes).values(_logged(change)))
        return
    if not _was_written(connection, change):
        mine = rollouts.c.tenant == after.tenant
        standing = connection.execute(select(rollouts).where(mine)).first()
        current = RolloutState(after.tenant) if standing is None else _state_of(standing)
        raise RolloutConflictError(current)


def _was_written(connection: Connection, change: Change) -> bool:
    """Before, and only the answer got lost."""
    table, after = rollout_changes, change.after
    query = select(table).where(table.c.tenant == after.tenant, table.c.version == after.version)
    row = connection.execute(query).first()
    return row is not None and _change_of(row) == change


def _logged(change: Change) -> dict[str, Any]:
    return {
        "tenant": change.tenant,
        "version": change.after.version,
        "action": change.action,
        "who": change.who,
        "why": change.why,
        "at": change.after.changed_at,
        "before": orjson.dumps(asdict(change.before)).decode(),
        "after": orjson.dumps(asdict(change.after)).decode(),
    }


def _change_of(row: Row[Any]) -> Change:
    return Change(
        RolloutState(**orjson.loads(row.before)),
        RolloutState(**orjson.loads(row.after)),
        row.action,
        row.who,
        row.why,
    )


def _state_of(row: Row[Any]) -> RolloutState:
    return RolloutState(
        row.tenant, row.version, row.killed, orjson.loads(row.shares), row.changed_at
    )


def _plan_of(stored: str) -> Plan:
    plan = orjson.loads(stored)
    lock = plan.get("lock", "")  # not in what older processes publish
    return Plan(plan["share"], tuple(plan["stages"]), plan["numbers"], tuple(plan["called"]), lock)
