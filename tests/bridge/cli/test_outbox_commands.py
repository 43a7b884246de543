"""The outbox from the command line, also of several databases; values that none of them takes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from bridge.store.ledger import CallOpening, SideEffect, StoredDecision
from bridge.store.outbox import Outbox
from bridge.store.sql_ledger import SqlLedger
from bridge.store.store import open_store
from tests import postgres_server
from tests.bridge.cli.conftest import ENVIRON, Run
from tests.bridge.store.conftest import DATABASES, create_database, run_apart
from tests.postgres_server import PostgresMissingError

NOT_UTF8 = os.fsdecode(b"\xff")
NO_SUCH_VALUE = (
    "Error: the database takes no such value, expected text in UTF-8 and whole numbers below 2^63\n"
)


def sid(number: int) -> str:
    return f"CA{number:032x}"


async def fill_with_dead_letters(url: str, tenant: str, moments: dict[int, float]) -> None:
    """A call for each number, with one dead letter each, written at that moment."""
    now = 0.0

    def clock() -> float:
        return now

    store = await open_store(url, clock=clock)
    ledger, outbox = SqlLedger(store, clock, str), Outbox(store, clock)
    for number, now in moments.items():
        await ledger.open_call(CallOpening(sid(number), "AC1", tenant, "+1", "+2", "number", now))
        decision = StoredDecision(sid(number), 0, "flex", "billing", "x", "<x/>", now, {}, {})
        await ledger.record_decision(decision, [SideEffect("sms", {})])
        (delivery,) = await outbox.claim("w", ["sms"], 1, 60)
        await outbox.give_up(delivery, "w", "refused")
    await store.close()


@pytest.fixture
def two_databases(tmp_path: Path) -> dict[str, str]:
    """Calls 1 and 3 in the shared one, 2 in that of a tenant, in the order of their numbers."""
    shared, clinic = (f"sqlite:///{tmp_path}/{name}.db" for name in ("shared", "clinic"))
    asyncio.run(fill_with_dead_letters(shared, "acme", {1: 1000.0, 3: 3000.0}))
    asyncio.run(fill_with_dead_letters(clinic, "clinic-north", {2: 2000.0}))
    return {"DATABASE_URL": shared, "DATABASE_URL_CLINIC_NORTH": clinic}


def columns(line: str, count: int) -> list[str]:
    return line.split()[:count]


def test_dead_letters_of_every_database_are_listed_with_whose_it_is(
    run: Run, two_databases: dict[str, str]
) -> None:
    head, *rows = run("outbox", "list", **two_databases).out.splitlines()
    assert columns(head, 3) == ["DATABASE", "ID", "CALL"]
    assert [columns(row, 3) for row in rows] == [
        ["-", "2", sid(3)],
        ["clinic-north", "1", sid(2)],
        ["-", "1", sid(1)],
    ]
    newest = orjson.loads(run("outbox", "list", "--limit", "2", "--json", **two_databases).out)
    assert [(one["database"], one["id"], one["call_sid"]) for one in newest] == [
        (None, 2, sid(3)),
        ("clinic-north", 1, sid(2)),
    ]


def test_one_tenants_database_is_listed_alone(run: Run, two_databases: dict[str, str]) -> None:
    ended = run("outbox", "list", "--tenant", "clinic-north", **two_databases)
    head, row = ended.out.splitlines()
    assert (columns(head, 2), columns(row, 2)) == (["ID", "CALL"], ["1", sid(2)])
    ended = run("outbox", "list", "--tenant", "clinic-north", "--json", **two_databases)
    assert [one["database"] for one in orjson.loads(ended.out)] == ["clinic-north"]


def test_an_id_is_looked_up_in_one_database_which_is_named(
    run: Run, two_databases: dict[str, str]
) -> None:
    def states() -> dict[str, str]:
        listed = run(
            "outbox", "list", "--state", "dead", "--state", "dropped", "--json", **two_databases
        )
        return {one["call_sid"]: one["state"] for one in orjson.loads(listed.out)}

    ended = run("outbox", "drop", "1", "--tenant", "clinic-north", **two_databases)
    assert ended.out == "1 in the database of clinic-north is dropped\n"
    assert states() == {sid(1): "dead", sid(2): "dropped", sid(3): "dead"}
    ended = run("outbox", "drop", "1", **two_databases)
    assert ended.out == "1 in the database of DATABASE_URL is dropped\n"
    assert states() == {sid(1): "dropped", sid(2): "dropped", sid(3): "dead"}
    ended = run("outbox", "retry", "2", "--tenant", "clinic-north", **two_databases)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "2 in the database of clinic-north is not a dead or dropped one\n"


@pytest.mark.parametrize("tenant", ["clinic-nort", "acme"], ids=["a slip", "without its own"])
@pytest.mark.parametrize("change", ["retry", "drop"])
def test_a_name_without_a_database_changes_nothing(
    run: Run, two_databases: dict[str, str], change: str, tenant: str
) -> None:
    """IDs repeat: the side effect of another tenant has the same."""
    before = run("outbox", "list", **two_databases)
    ended = run("outbox", change, "1", "--tenant", tenant, **two_databases)
    assert (ended.status, ended.out) == (2, "")
    assert f"'{tenant}' has no database of its own; there are: -, clinic-north" in ended.err
    assert run("outbox", "list", **two_databases) == before


def test_the_shared_database_is_named_as_it_is_listed(
    run: Run, two_databases: dict[str, str]
) -> None:
    ended = run("outbox", "drop", "1", "--tenant", "-", **two_databases)
    assert ended.out == "1 in the database of DATABASE_URL is dropped\n"


def test_a_side_effect_is_retried_while_another_database_is_away(
    run: Run, two_databases: dict[str, str]
) -> None:
    away = {"DATABASE_URL_AWAY": "postgresql://u:hunter2@127.0.0.1:1/calls"}
    ended = run("outbox", "retry", "2", **two_databases, **away)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "2 in the database of DATABASE_URL is due again\n"


@pytest.mark.parametrize("number", ["99999999999999999999", "9223372036854775808", "0", "-1"])
@pytest.mark.parametrize("change", ["retry", "drop"])
def test_a_number_that_no_side_effect_can_have_is_a_wrong_argument(
    change: str, number: str, run: Run
) -> None:
    ended = run("outbox", change, "--", number)
    assert (ended.status, ended.out) == (2, "")
    assert f"{number} is not in the range 1<=x<=9223372036854775807" in ended.err


@pytest.fixture(params=DATABASES)
def an_empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/calls.db"
        return
    try:
        with postgres_server.shared(tmp_path) as server:
            yield run_apart(create_database(server))
    except PostgresMissingError as missing:
        pytest.skip(str(missing))


def test_what_is_not_text_is_refused_without_a_traceback(run: Run, an_empty_database: str) -> None:
    assert run("calls", DATABASE_URL=an_empty_database).status == 0  # which makes the file
    for words in (
        ("calls", "show", NOT_UTF8),
        ("export", NOT_UTF8),
        ("calls", "--intent", NOT_UTF8),
        ("calls", "--outcome", NOT_UTF8),
    ):
        ended = run(*words, DATABASE_URL=an_empty_database)
        assert (words, ended.status, ended.out, ended.err) == (words, 1, "", NO_SUCH_VALUE)
    ended = run("calls", "--caller", NOT_UTF8, DATABASE_URL=an_empty_database)
    assert (ended.status > 0, ended.out) == (True, "")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("variable", ["DATABASE_URL", "DATABASE_URL_DEFAULT"])
@pytest.mark.parametrize("command", [("calls",), ("serve", "--port", "0")], ids=" ".join)
def test_a_port_that_does_not_exist_is_a_fault_of_the_configuration(
    command: tuple[str, ...], variable: str, run: Run
) -> None:
    wrong = {variable: "postgresql://u:hunter2@127.0.0.1:99999/calls"}
    ended = run(*command, **ENVIRON, **wrong)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        "Error: 1 fault in the configuration\n"
        f"  - {variable} is not the address of a database, expected sqlite:///path/to/file.db or"
        " postgresql://user:password@host:5432/database; a port is 1 to 65535, not 99999\n"
    )
