"""``triage-bridge rollout``: who gets the AI, who changed it and why."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import click

from bridge.cli._store import (
    DEFAULT_DATABASE,
    json_option,
    masked,
    moment,
    one_line,
    place_of,
    print_json,
    print_table,
    reveal_option,
    with_stores,
)
from bridge.rollouts import WHOLE, Plan, RolloutConflictError, Rollouts, RolloutState, known_tenants
from bridge.store.rollouts import SqlRollouts, sides
from bridge.store.settings import StoreSettings, read_store_settings
from bridge.store.store import Store
from bridge.traffic.lock import opens
from bridge.traffic.operating import NOBODY_SERVES, Operator, Wanted, Wish
from bridge.traffic.overview import Taken, change_facts, rollout_facts, taken, tenant_facts
from bridge.traffic.rollout import RolloutError
from dispatch.rollout import percent, tenths

T = TypeVar("T")

NOT_SAID = "not said"
NOBODYS = Plan(0, ())

STATUS_HEAD = ("TENANT", "NUMBER", "ASKED", "TAKEN", "CALLS", "SWITCH", "WHY NOT (CALLS)")
HISTORY_HEAD = ("WHEN (UTC)", "TENANT", "ACTION", "FROM", "TO", "WHO", "WHY")


def _share(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Percent, as tenths of a percent."""
    try:
        return None if value is None else tenths(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _whoami() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container whose user has no name
        return f"{os.getuid()}@{socket.gethostname()}"


tenant_option = click.option("--tenant", required=True, help="Whose rollout.")
any_tenant_option = click.option("--tenant", default=WHOLE, help="Only this tenant's; else all.")
number_option = click.option(
    "--number", default=WHOLE, help="Only for this called number, which then has its own share."
)
why_option = click.option(
    "--why", default=NOT_SAID, show_default=True, help="Recorded with the change."
)
who_option = click.option(
    "--who", default=_whoami, show_default="user@host", help="Recorded with the change."
)
stage_option = click.option(
    "--to", "stage", callback=_share, metavar="PERCENT", help="A stage further off."
)


@click.group("rollout")
def command() -> None:
    """Which share of callers the AI gets, the kill switch, and what was changed by whom.

    Works on the database in DATABASE_URL, from any machine. Serving processes follow in a second.
    Where they were started with an ADMIN_TOKEN, changes need the same one in the environment.
    """


# --- changing ---------------------------------------------------------------------------------


@command.command("set")
@click.argument("share", metavar="PERCENT", callback=_share)
@tenant_option
@number_option
@why_option
@who_option
def set_share(share: int, tenant: str, number: str, why: str, who: str) -> None:
    """Give the AI a share of callers: 0 to 100 in steps of 0.1."""
    _change(Wish("set", tenant, who, why, number, share))


@command.command("clear")
@tenant_option
@click.option("--number", required=True, help="The called number.")
@why_option
@who_option
def clear(tenant: str, number: str, why: str, who: str) -> None:
    """Take a called number's own share away: the tenant's holds for it again."""
    _change(Wish("clear", tenant, who, why, number))


@command.command("advance")
@tenant_option
@number_option
@stage_option
@why_option
@who_option
def advance(tenant: str, number: str, stage: int | None, why: str, who: str) -> None:
    """Go to the next stage of the triage file."""
    _change(Wish("advance", tenant, who, why, number, stage))


@command.command("back")
@tenant_option
@number_option
@stage_option
@why_option
@who_option
def back(tenant: str, number: str, stage: int | None, why: str, who: str) -> None:
    """Go back one stage; below the first one to 0."""
    _change(Wish("back", tenant, who, why, number, stage))


@command.command("kill")
@any_tenant_option
@click.option("--why", default="kill switch", show_default=True, help="Recorded with the change.")
@who_option
def kill(tenant: str, why: str, who: str) -> None:
    """No more AI, for one tenant or for all. Calls in progress go on."""
    _change(Wish("kill", tenant, who, why))


@command.command("resume")
@any_tenant_option
@why_option
@who_option
def resume(tenant: str, why: str, who: str) -> None:
    """Undo a kill: the share is what it was. All and one tenant are separate switches."""
    _change(Wish("resume", tenant, who, why))


def _change(wish: Wish) -> None:
    async def run(rollouts: SqlRollouts) -> tuple[RolloutState, Rollouts]:
        _check_token(wish.tenant, await rollouts.read())
        state = await Operator(rollouts, time.time).carry_out(wish)
        return state, await rollouts.read()

    try:
        state, rollouts = _with_rollouts(run)
    except (RolloutError, RolloutConflictError) as error:
        where = _is_it_this_one() if NOBODY_SERVES in str(error) else ""
        raise click.ClickException(f"{error}{where}") from error
    if not rollouts.plans:  # written all the same: it may come before those who serve
        where = _is_it_this_one()
        raise click.ClickException(f"{wish.action} is written, but {NOBODY_SERVES}{where}")
    click.echo(_sentence(wish.action, state, rollouts))


def _is_it_this_one() -> str:
    return (
        f" ({_place()}). Is it the one that serves? These commands need the DATABASE_URL,"
        " DATA_KEYS and ADMIN_TOKEN of `serve`"
    )


def _check_token(tenant: str, rollouts: Rollouts) -> None:
    """Whoever serves with an admin token is commanded with it."""
    plans = rollouts.plans.values() if tenant == WHOLE else [rollouts.plans.get(tenant, NOBODYS)]
    locks = {plan.lock for plan in plans if plan.lock}
    token = os.environ.get("ADMIN_TOKEN", "").strip()
    if not locks:
        return
    if not token:
        raise RolloutError("ADMIN_TOKEN is not set; those who serve were started with one")
    # One is enough, as it is for the admin API: a tenant that nobody serves any more has an old
    # token's lock for good, and must not hold up the kill switch of all.
    if not any(opens(token, lock) for lock in locks):
        raise RolloutError("ADMIN_TOKEN is not the one that those who serve were started with")


def _sentence(action: Wanted, state: RolloutState, rollouts: Rollouts) -> str:
    whom = "all tenants" if state.tenant == WHOLE else state.tenant
    if state.killed:
        return f"{whom}: killed, no caller gets the AI"
    plan = rollouts.plans.get(state.tenant)
    if plan is None:
        return f"{whom}: the kill switch is off"
    shares = tenant_facts(state, plan)["shares"]
    others = "".join(f", {number} {share:g} %" for number, share in shares.items() if number != "*")
    held = " (but all tenants are killed)" if rollouts.all_killed else ""
    return f"{whom}: {shares['*']:g} %{others}{held}"


# --- looking ----------------------------------------------------------------------------------


@command.command("status")
@click.option("--tenant", help="Only this tenant.")
@click.option(
    "--hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(0.01, 24 * 366),
    help="Count calls of so long, but not from before the last change.",
)
@json_option
@reveal_option
def status(tenant: str | None, hours: float, as_json: bool, reveal: bool) -> None:
    """The share asked for, and the share of calls that the AI took since the last change."""
    rollouts, counted = _with_rollouts(lambda found: found.read()), {}
    wanted = [tenant] if tenant is not None else list(known_tenants(rollouts))
    if tenant is not None and tenant not in known_tenants(rollouts):
        known = ", ".join(known_tenants(rollouts)) or "none"
        raise click.ClickException(f"there is no tenant {tenant!r}; there are: {known}")
    for one in wanted:
        counted[one] = _taken(one, rollouts, hours)
    if as_json:
        print_json(_status_facts(rollouts, counted))
    elif not wanted:
        killed = "all tenants: killed, no caller gets the AI\n" if rollouts.all_killed else ""
        click.echo(f"{killed}{NOBODY_SERVES} ({_place()})")
    else:
        rows = [
            (one, _where(where, numbers, reveal), *_status_cells(one, found, rollouts))
            for one, numbers in counted.items()
            for where, found in numbers.items()
        ]
        print_table(STATUS_HEAD, rows)


def _taken(tenant: str, rollouts: Rollouts, hours: float) -> dict[str, Taken]:
    state, plan = rollouts.of(tenant), rollouts.plans.get(tenant)
    if plan is None:
        return {}
    since = max(time.time() - hours * 3600, state.changed_at)

    async def count(stores: list[Store], _settings: StoreSettings) -> dict[str, Taken]:
        return taken(state, plan, await sides(stores[0], tenant, since))

    return with_stores(count, tenant)


def _status_facts(rollouts: Rollouts, counted: dict[str, dict[str, Taken]]) -> dict[str, Any]:
    facts = rollout_facts(rollouts)
    facts["tenants"] = [one for one in facts["tenants"] if one["tenant"] in counted]
    for one in facts["tenants"]:
        one["taken"] = {
            where: asdict(found) | {"asked": found.asked / 10, "percent": found.percent}
            for where, found in counted[one["tenant"]].items()
        }
    return facts


def _where(where: str, numbers: Mapping[str, Taken], reveal: bool) -> str:
    if where != WHOLE:
        return masked(where, reveal)
    return "all" if len(numbers) == 1 else "others"


def _status_cells(tenant: str, found: Taken, rollouts: Rollouts) -> tuple[str, ...]:
    killed = rollouts.all_killed or rollouts.of(tenant).killed
    return (
        f"{percent(found.asked)} %",
        "-" if found.percent is None else f"{found.percent:g} %",
        str(found.calls),
        "KILLED" if killed else "on",
        ", ".join(f"{one_line(why)} ({count})" for why, count in found.reasons.items()) or "-",
    )


@command.command("history")
@click.option("--tenant", help="Only this tenant.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@json_option
@reveal_option
def history(tenant: str | None, limit: int, as_json: bool, reveal: bool) -> None:
    """Every change with who, when and why, the newest first."""
    changes = _with_rollouts(lambda found: found.history(tenant, limit))
    facts = [change_facts(change) for change in changes]
    if as_json:
        print_json(facts)
    elif not facts:
        click.echo("nothing was changed")
    else:
        print_table(HISTORY_HEAD, [_history_row(one, reveal) for one in facts])


def _history_row(facts: dict[str, Any], reveal: bool) -> tuple[str, ...]:
    return (
        moment(facts["at"]),
        "all" if facts["tenant"] == WHOLE else facts["tenant"],
        facts["action"],
        _stand(facts["tenant"], facts["before"], reveal),
        _stand(facts["tenant"], facts["after"], reveal),
        one_line(facts["who"]),
        one_line(facts["why"]),
    )


def _stand(tenant: str, facts: dict[str, Any], reveal: bool) -> str:
    if tenant == WHOLE:
        return "killed" if facts["killed"] else "on"
    shares = [
        f"{share:g} %" if where == WHOLE else f"{masked(where, reveal)} {share:g} %"
        for where, share in facts["shares"].items()
    ]
    return " ".join((["killed"] if facts["killed"] else []) + shares) or "file"


def _with_rollouts(work: Callable[[SqlRollouts], Awaitable[T]]) -> T:
    """In the default database, where the rollouts of all tenants are."""

    async def run(stores: list[Store], _settings: StoreSettings) -> T:
        return await work(SqlRollouts(stores[0].database))

    return with_stores(run, DEFAULT_DATABASE)


def _place() -> str:
    """Where that is."""
    settings = read_store_settings(os.environ)
    return place_of(settings.url_of(DEFAULT_DATABASE).get_secret_value(), settings)
