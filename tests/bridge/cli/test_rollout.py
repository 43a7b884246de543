"""Rollouts as an operator runs them: commands, an admin API, and real processes that follow."""

from __future__ import annotations

import asyncio
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.traffic.split import Splitter
from bridge.traffic_settings import DEFAULT_KEY
from loadtest.twilio import CallScript, Origins, PhoneNumber, SimulatedTwilio, StayOnLine
from loadtest.twilio import Settings as TwilioSettings
from loadtest.twilio.outcomes import Hangup
from tests.bridge.cli.conftest import (
    ACCOUNT,
    ENVIRON,
    PUBLIC,
    TOKEN,
    Run,
    Serve,
    Served,
    kept_in,
)
from tests.bridge.cli.test_serve import FORM, get, post

CALLED, OTHER = "+15550100002", "+15550100003"
FLOW = "FW" + "f" * 32
TODAY = ENVIRON["FALLBACK_URL"]
FOLLOWS_S = 1.0
"""Every process has seen a change by then."""
WITHIN_S = 20.0
ADMIN_TOKEN = "made-up-admin-token"
BIN = f"""\
<Response>
  <Connect>
    <Stream url="wss://voice.example.com/media">
      <Parameter name="from" value="+14156660001"/>
      <Parameter name="to" value="{CALLED}"/>
    </Stream>
  </Connect>
  <Hangup/>
</Response>
"""
TRIAGE = f"""\
tenant = "acme"
numbers = ["{CALLED}", "{OTHER}"]
[business]
name = "ACME"
[routes.message]
kind = "voicemail"
[default]
route = "message"
[human]
route = "message"
[[intent]]
name = "billing"
description = "Invoices."
route = "message"
"""


def call_sid(number: int) -> str:
    return f"CA{number:032x}"


def voice(served: Served, number: int = 1, target: str = "/voice", **fields: str) -> bool:
    """A call comes in; whether the AI gets it. Else it goes to today's flow."""
    caller = f"+1415666{number:04}"
    answer = post(served, target, FORM | {"CallSid": call_sid(number), "From": caller} | fields)
    to_the_ai = "<Connect" in answer
    assert to_the_ai or answer.count("<Redirect") == 1, answer
    return to_the_ai


def until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    ends_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_at, what
        time.sleep(0.01)


@pytest.fixture
def triage(tmp_path: Path) -> str:
    file = tmp_path / "acme.toml"
    file.write_text(TRIAGE, encoding="utf-8")
    return str(file)


def logged(served: Served, event: str) -> list[dict[str, Any]]:
    lines = served.log.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == event]


def served_and_known(serve: Serve, run: Run, triage: str, **environ: str) -> Served:
    """Once a process has published its plan, operators know the tenant."""
    served = serve(TRIAGE_FILE=triage, **environ)
    until(
        lambda: run("rollout", "status").out.startswith("TENANT"), WITHIN_S, "no plan was published"
    )
    return served


def test_every_process_follows_the_kill_switch_within_a_second(
    serve: Serve, run: Run, triage: str
) -> None:
    processes = [served_and_known(serve, run, triage), serve(TRIAGE_FILE=triage)]
    assert [voice(one, 1) for one in processes] == [True, True]
    killed = run("rollout", "kill", "--why", "smoke in the kitchen", "--who", "ada")
    assert (killed.status, killed.out) == (0, "all tenants: killed, no caller gets the AI\n")
    for one in processes:
        until(lambda one=one: not voice(one, 2), FOLLOWS_S, "a process has not followed")  # type: ignore[misc]
    resumed = run("rollout", "resume", "--why", "it was toast", "--who", "ada")
    assert resumed.out == "all tenants: the kill switch is off\n"
    for one in processes:
        until(lambda one=one: voice(one, 3), FOLLOWS_S, "a process has not followed")  # type: ignore[misc]


def test_workers_on_one_port_follow_too_and_a_new_process_knows_at_once(
    serve: Serve, run: Run, triage: str
) -> None:
    served = served_and_known(serve, run, triage)
    assert run("rollout", "kill", "--tenant", "acme").status == 0
    until(lambda: not voice(served, 1), FOLLOWS_S, "it has not followed")
    workers = serve("--workers", "2", TRIAGE_FILE=triage)
    assert [voice(workers, number) for number in range(10, 20)] == [False] * 10


def test_the_kill_switch_stops_all_three_ways_in(serve: Serve, run: Run, triage: str) -> None:
    served = served_and_known(serve, run, triage)
    assert run("rollout", "kill").status == 0
    until(lambda: not voice(served, 1), FOLLOWS_S, "it has not followed")
    by_number = post(served, "/voice")
    assert f'<Response><Redirect method="POST">{TODAY}</Redirect></Response>' in by_number
    by_studio = post(served, f"/voice?flow={FLOW}")
    studio = f"https://webhooks.twilio.com/v1/Accounts/{ACCOUNT}/Flows/{FLOW}"
    assert f"{studio}?FlowEvent=return&amp;outcome=fallback&amp;reason=kill_switch" in by_studio
    by_bin = post(served, "/voice", FORM | {"CallStatus": "in-progress"})
    assert by_bin == by_number


async def test_a_call_that_a_bin_streams_itself_is_refused_by_the_same_rules_and_on_record(
    serve: Serve, run: Run, triage: str
) -> None:
    served = await asyncio.to_thread(served_and_known, serve, run, triage)
    killed = await asyncio.to_thread(run, "rollout", "kill", "--tenant", "acme")
    assert killed.status == 0
    await asyncio.to_thread(until, lambda: not voice(served, 1), FOLLOWS_S, "it has not followed")
    origins = Origins({PUBLIC: f"http://127.0.0.1:{served.port}"})
    settings = TwilioSettings(account_sid=ACCOUNT, auth_token=TOKEN, origins=origins)
    number = PhoneNumber(f"{PUBLIC}/voice")
    async with SimulatedTwilio(settings, number, random.Random(1)) as twilio:
        call = await twilio.place_call(
            CallScript((StayOnLine(5_000),), to_number=CALLED, twiml=BIN)
        )
    assert call.outcome == Hangup()

    def recorded() -> list[tuple[str, str, str]]:
        listed = json.loads(run("calls", "--json").out)
        return [(one["call_sid"], one["side"], one["side_reason"]) for one in listed]

    kept = (call.call_sid, "today", "kill_switch")
    await asyncio.to_thread(until, lambda: kept in recorded(), WITHIN_S, "it is not on record")


def test_the_share_holds_sticks_and_is_shown_beside_what_was_taken(
    serve: Serve, run: Run, triage: str
) -> None:
    served = served_and_known(serve, run, triage)
    share = run("rollout", "set", "25", "--tenant", "acme", "--why", "week 2", "--who", "ada")
    assert (share.status, share.out) == (0, "acme: 25 %\n")
    splitter, callers = Splitter(DEFAULT_KEY), [f"+1415555{tail:04}" for tail in range(60)]
    expected = [splitter.position("acme", CALLED, caller) < 250 for caller in callers]
    until(
        lambda: bool(logged(served, "rollout_changed")), FOLLOWS_S, "the process has not followed"
    )
    for again in (1000, 2000):
        sides = [voice(served, again + i, From=caller) for i, caller in enumerate(callers)]
        assert sides == expected

    def status() -> dict[str, Any]:
        [tenant] = json.loads(run("rollout", "status", "--json").out)["tenants"]
        taken: dict[str, Any] = tenant["taken"]["*"]
        return taken

    until(lambda: status()["calls"] == 120, WITHIN_S, "calls are missing in the record")
    ai = 2 * sum(expected)
    assert status() == {
        "asked": 25.0,
        "calls": 120,
        "ai": ai,
        "percent": round(ai / 1.2, 1),
        "reasons": {"today: share": 120 - ai},
    }
    shown = [cell.strip() for cell in run("rollout", "status").out.splitlines()[1].split("  ")]
    assert [cell for cell in shown if cell] == [
        "acme",
        "all",
        "25 %",
        f"{round(ai / 1.2, 1):g} %",
        "120",
        "on",
        f"today: share ({120 - ai})",
    ]


def test_callers_without_a_number_and_numbers_of_nobody_have_an_answer(
    serve: Serve, run: Run, triage: str
) -> None:
    served = served_and_known(serve, run, triage)
    strange = ["", "+266696687", "Anonymous", "not a number", "+1", "sip:alice@example.com"]
    assert [voice(served, 10 + i, From=caller) for i, caller in enumerate(strange)] == [True] * 6
    assert not voice(served, 1, To="+15559999999")
    [passed_on] = logged(served, "call_passed_on")
    assert (passed_on["reason"], passed_on["tenant"]) == ("called_number_unknown", "")


def test_one_called_number_can_have_a_share_of_its_own(serve: Serve, run: Run, triage: str) -> None:
    served = served_and_known(serve, run, triage)
    told = run(
        "rollout", "set", "0", "--tenant", "acme", "--number", OTHER, "--why", "a quiet start"
    )
    assert told.out == f"acme: 100 %, {OTHER} 0 %\n"
    until(lambda: bool(logged(served, "rollout_changed")), FOLLOWS_S, "it has not followed")
    assert not voice(served, 1, To=OTHER)
    assert voice(served, 2, To=CALLED)
    until(lambda: "today: share" in run("rollout", "status").out, WITHIN_S, "nothing is recorded")
    rows = [line.split()[:6] for line in run("rollout", "status").out.splitlines()[1:]]
    assert rows == [
        ["acme", "others", "100", "%", "100", "%"],
        ["acme", "…03", "0", "%", "0", "%"],
    ]


def test_every_change_is_on_record(serve: Serve, run: Run, triage: str) -> None:
    served_and_known(serve, run, triage)
    for arguments in (
        ("set", "5", "--tenant", "acme", "--why", "week 1", "--who", "ada"),
        ("advance", "--tenant", "acme", "--why", "all is well", "--who", "bob"),
        ("kill", "--tenant", "acme", "--who", "bob"),
    ):
        assert run("rollout", *arguments).status == 0
    told = [line.split("  ") for line in run("rollout", "history").out.splitlines()]
    rows = [[cell.strip() for cell in row if cell.strip()][1:] for row in told]
    assert rows == [
        ["TENANT", "ACTION", "FROM", "TO", "WHO", "WHY"],
        ["acme", "kill", "25 %", "killed 25 %", "bob", "kill switch"],
        ["acme", "advance", "5 %", "25 %", "bob", "all is well"],
        ["acme", "set", "file", "5 %", "ada", "week 1"],
    ]


WRONG = {
    "a share of 101": (("set", "101", "--tenant", "acme"), "is '101', expected a share from 0 to"),
    "half a step": (("set", "5.05", "--tenant", "acme"), "is '5.05', expected a share from 0 to"),
    "no share": (("set", "five", "--tenant", "acme"), "in steps of 0.1"),
    "an unknown tenant": (
        ("set", "5", "--tenant", "acne"),
        "there is no tenant 'acne'; there are: acme",
    ),
    "an unknown stage": (
        ("back", "--to", "7", "--tenant", "acme"),
        "7 % is not a stage; the stages are 5, 25, 60, 100",
    ),
    "somebody else's number": (
        ("set", "5", "--tenant", "acme", "--number", "+15550109999"),
        f"+15550109999 is not a number of 'acme'; there are: {CALLED}, {OTHER}",
    ),
}


def test_wrong_commands_are_answered_clearly_and_change_nothing(
    serve: Serve, run: Run, triage: str
) -> None:
    served_and_known(serve, run, triage)
    for arguments, message in WRONG.values():
        ended = run("rollout", *arguments, "--why", "a test")
        assert ended.status != 0, arguments
        assert message in ended.err, ended.err
    assert run("rollout", "history").out == "nothing was changed\n"


def test_a_change_without_a_reason_is_recorded_as_such(serve: Serve, run: Run, triage: str) -> None:
    served_and_known(serve, run, triage)
    assert run("rollout", "set", "5", "--tenant", "acme").out == "acme: 5 %\n"
    [change] = json.loads(run("rollout", "history", "--json").out)
    assert (change["action"], change["why"]) == ("set", "not said")


def test_who_serves_with_a_token_is_commanded_with_it(serve: Serve, run: Run, triage: str) -> None:
    served = served_and_known(serve, run, triage, ADMIN_TOKEN=ADMIN_TOKEN)
    for arguments in (("kill",), ("kill", "--tenant", "acme"), ("set", "5", "--tenant", "acme")):
        without = run("rollout", *arguments)
        assert (without.status, without.err) == (
            1,
            "Error: ADMIN_TOKEN is not set; those who serve were started with one\n",
        )
        wrong = run("rollout", *arguments, ADMIN_TOKEN="another-admin-token")
        assert (wrong.status, wrong.err) == (
            1,
            "Error: ADMIN_TOKEN is not the one that those who serve were started with\n",
        )
    assert run("rollout", "history").out == "nothing was changed\n"
    assert run("rollout", "kill", ADMIN_TOKEN=ADMIN_TOKEN).status == 0
    until(lambda: not voice(served, 1), FOLLOWS_S, "it has not followed")


def test_a_tenant_that_is_gone_does_not_hold_up_the_kill_switch_with_its_old_token(
    serve: Serve, run: Run, triage: str, tmp_path: Path
) -> None:
    served_and_known(serve, run, triage, ADMIN_TOKEN="the-token-of-last-year")
    follower = tmp_path / "follower.toml"
    follower.write_text(TRIAGE.replace('"acme"', '"follower"'), encoding="utf-8")
    served = serve(TRIAGE_FILE=str(follower), ADMIN_TOKEN=ADMIN_TOKEN)
    until(lambda: "follower" in run("rollout", "status").out, WITHIN_S, "no plan was published")
    assert run("rollout", "kill", "--tenant", "acme", ADMIN_TOKEN=ADMIN_TOKEN).status == 1
    assert run("rollout", "kill", ADMIN_TOKEN=ADMIN_TOKEN).status == 0
    until(lambda: not voice(served, 1), FOLLOWS_S, "it has not followed")


# --- the guard, on real processes --------------------------------------------------------------

GUARDED = f"""{TRIAGE}
[guard]
min_calls = 3
page = "duty"
[routes.duty]
kind = "page"
sms = ["+15550100777"]
"""


async def test_calls_that_are_lost_take_the_ai_away_and_somebody_is_told(
    serve: Serve, run: Run, tmp_path: Path
) -> None:
    """The callers were sent to the media socket, and came back without a decision."""
    file = tmp_path / "guarded.toml"
    file.write_text(GUARDED, encoding="utf-8")
    settings = TwilioSettings(account_sid=ACCOUNT, auth_token=TOKEN)
    async with SimulatedTwilio(settings, rng=random.Random(1)) as twilio:
        await asyncio.to_thread(_lose_three_calls, serve, run, str(file), twilio.rest_url)
        [message] = twilio.messages
    assert (message.fields["To"], message.fields["From"]) == ("+15550100777", CALLED)
    told = "fallbacks: 3 of 3 calls, allowed are 5 %"
    assert message.fields["Body"] == f"rollout of acme went to zero: {told}"
    [change] = json.loads(run("rollout", "history", "--json").out)
    assert (change["action"], change["why"]) == ("guard", told)
    assert change["who"].startswith("guard on ")


def _lose_three_calls(serve: Serve, run: Run, file: str, rest_url: str) -> None:
    served = served_and_known(serve, run, file, TWILIO_REST_URL=rest_url, ADMIN_TOKEN=ADMIN_TOKEN)
    for number in range(1, 4):
        form = FORM | {"CallSid": call_sid(number), "From": f"+1415666{number:04}"}
        action = post(served, "/voice", form).partition("/after/")[2].partition("#")[0]
        answer = post(served, f"/after/{action}", form | {"CallStatus": "in-progress"})
        assert TODAY in answer
    until(lambda: bool(logged(served, "page_sent")), WITHIN_S, "nobody was told")
    assert not voice(served, 10)
    [stepped] = logged(served, "rollout_stepped_back")
    assert (stepped["severe"], stepped["shares"]) == (True, [0])
    metrics = f"http://127.0.0.1:{served.port}/admin/metrics"
    request = urllib.request.Request(metrics, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as told:  # noqa: S310
        lines = told.read().decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'triage_bridge_rollout_share_percent{tenant="acme",number="*"} 0',
        'triage_bridge_rollout_killed{tenant="acme"} 0',
        "triage_bridge_rollout_all_killed 0",
        'triage_bridge_rollout_guard_steps_back_total{tenant="acme"} 1',
    ]
    assert get(served, "/admin/metrics")[0] == 401


NOBODY = "no process has served this database yet"


def place(folder: Path) -> str:
    """Where commands look that were given no DATABASE_URL."""
    file = Path(kept_in(folder)["XDG_STATE_HOME"]) / "triage-bridge" / "calls.db"
    return f"DATABASE_URL is not set, which means sqlite:///{file}"


def test_a_database_that_nobody_serves_says_so(run: Run, tmp_path: Path) -> None:
    assert run("rollout", "status").out == f"{NOBODY} ({place(tmp_path)})\n"
    for arguments in (("kill",), ("set", "5"), ("advance",)):
        ended = run("rollout", *arguments, "--tenant", "acme")
        assert (ended.status, ended.out) == (1, "")
        assert f"{NOBODY} ({place(tmp_path)}). Is it the one that serves?" in ended.err


def test_a_kill_switch_that_came_first_is_written_but_not_called_a_success(
    run: Run, tmp_path: Path
) -> None:
    """An operator in the wrong shell must not believe that the AI is off."""
    killed = run("rollout", "kill")
    assert (killed.status, killed.out) == (1, "")
    assert f"kill is written, but {NOBODY} ({place(tmp_path)}). Is it" in killed.err
    assert run("rollout", "status").out == (
        f"all tenants: killed, no caller gets the AI\n{NOBODY} ({place(tmp_path)})\n"
    )
    assert run("rollout", "resume").status == 1
    told = [line.split()[2:6] for line in run("rollout", "history").out.splitlines()[1:]]
    assert told == [["all", "resume", "killed", "on"], ["all", "kill", "on", "killed"]]


def test_a_database_that_is_made_just_now_is_told_and_none_that_was_there(
    run: Run, tmp_path: Path
) -> None:
    new, url = tmp_path / "new.db", f"sqlite:///{tmp_path / 'new.db'}"
    told = f"there was no database (DATABASE_URL is {url}): a new, empty one is made\n"
    for command in (("calls",), ("stats",), ("outbox", "list")):
        assert run(*command, DATABASE_URL=url).err == told, command
        assert run(*command, DATABASE_URL=url).err == "", command
        new.unlink()
    assert place(tmp_path) in run("calls").err


def test_while_the_model_cannot_be_reached_calls_go_to_todays_flow(
    serve: Serve, triage: str
) -> None:
    served = serve(TRIAGE_FILE=triage, POOL_SIZE="1", BREAKER_FAILURES="2")
    numbers = iter(range(1000, 10_000))
    until(lambda: not voice(served, next(numbers)), WITHIN_S, "the circuit stays closed")
    assert logged(served, "call_passed_on")[0]["reason"] == "model_unreachable"


# --- the admin API ---------------------------------------------------------------------------


def admin(
    served: Served,
    target: str,
    body: object = None,
    token: str | None = ADMIN_TOKEN,
    scheme: str = "Bearer",
) -> tuple[int, Any]:
    data = (
        None if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
    )
    headers = {} if token is None else {"Authorization": f"{scheme} {token}"}
    url = f"http://127.0.0.1:{served.port}{target}"
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else text.decode()


def test_without_a_token_there_is_no_admin_api(serve: Serve, triage: str) -> None:
    served = serve(TRIAGE_FILE=triage)
    assert get(served, "/admin/rollout")[0] == 404
    assert admin(served, "/admin/rollout/kill", {"who": "x", "why": "y"})[0] == 404
    assert voice(served)


def test_a_token_that_is_too_short_is_refused(run: Run) -> None:
    ended = run("serve", **ENVIRON | {"ADMIN_TOKEN": "short"})
    assert (ended.status, "ADMIN_TOKEN is too short" in ended.err) == (2, True)
    assert "short-secret" not in ended.err


def test_the_admin_api_is_for_whoever_has_the_token(serve: Serve, run: Run, triage: str) -> None:
    served = served_and_known(serve, run, triage, ADMIN_TOKEN=ADMIN_TOKEN)
    for token in (None, "", "wrong", ADMIN_TOKEN + "x", ADMIN_TOKEN[:-1], "\u00e4"):
        assert admin(served, "/admin/rollout", token=token)[0] == 401
        assert admin(served, "/admin/rollout/kill", {"who": "x", "why": "y"}, token)[0] == 401
    assert admin(served, "/admin/rollout", token=ADMIN_TOKEN, scheme="bearer")[0] == 200
    assert voice(served)
    assert ADMIN_TOKEN not in served.log.read_text(encoding="utf-8")


def test_the_admin_api_changes_rollouts_and_tells_of_them(
    serve: Serve, run: Run, triage: str
) -> None:
    served = served_and_known(serve, run, triage, ADMIN_TOKEN=ADMIN_TOKEN)
    why = {"who": "ada", "why": "week 1"}
    status, answer = admin(served, "/admin/rollout/set", {"tenant": "acme", "share": 5, **why})
    changed_at = answer["rollout"].pop("changed_at")
    five = {"tenant": "acme", "version": 1, "killed": False, "shares": {"*": 5.0}}
    assert (status, answer) == (200, {"rollout": five})
    assert admin(served, "/admin/rollout") == (
        200,
        {
            "all_killed": False,
            "tenants": [five | {"changed_at": changed_at, "stages": [5.0, 25.0, 60.0, 100.0]}],
        },
    )
    assert admin(served, "/admin/rollout/kill", why)[0] == 200
    assert not voice(served), "the process that was told follows at once"
    status, answer = admin(served, "/admin/rollout/history?tenant=acme&limit=1")
    assert [(one["action"], one["who"], one["why"]) for one in answer["changes"]] == [
        ("set", "ada", "week 1")
    ]


REFUSED: dict[str, tuple[str, object, str]] = {
    "a share of 101": (
        "set",
        {"tenant": "acme", "share": 101},
        "share is 101, expected a share from 0 to 100 in steps of 0.1",
    ),
    "half a step": (
        "set",
        {"tenant": "acme", "share": 5.05},
        "share is 5.05, expected a share from 0 to 100 in steps of 0.1",
    ),
    "a share that is none": ("set", {"tenant": "acme", "share": [5]}, "share is no number"),
    "an unknown tenant": ("set", {"tenant": "acne", "share": 5}, "there is no tenant 'acne'"),
    "no tenant": ("set", {"share": 5}, "tenant is missing, expected text"),
    "an unknown stage": ("advance", {"tenant": "acme", "share": 7}, "7 % is not a stage"),
    "an unknown action": ("fly", {"tenant": "acme"}, "there is no action 'fly'"),
    "an unknown field": ("kill", {"tennant": "acme"}, "'tennant' is not a known field"),
    "no json": ("kill", b"tenant=acme", "the body is not JSON"),
    "no object": ("kill", [], "the body is not a JSON object"),
    "a book": ("kill", b" " * 20_000, "the body has more than 16384 bytes"),
    "the kill switch of one number": ("kill", {"number": CALLED}, "kill takes no number"),
    "a number for a reason": ("kill", {"why": 5}, "why is int, expected text"),
}


def test_wrong_requests_are_answered_clearly_and_change_nothing(
    serve: Serve, run: Run, triage: str
) -> None:
    served = served_and_known(serve, run, triage, ADMIN_TOKEN=ADMIN_TOKEN)
    for action, body, message in REFUSED.values():
        whole = {"who": "ada", "why": "a test"} | body if isinstance(body, dict) else body
        status, answer = admin(served, f"/admin/rollout/{action}", whole)
        assert status == 400, (action, body, answer)
        assert message in answer["error"]
    nobody = admin(served, "/admin/rollout/kill", {"why": "a test", "who": ""})
    assert nobody == (400, {"error": "'who' is empty: every change is recorded with who and why"})
    for limit in ("0", "x", "1001", "-1", "000000001" + "0" * 20):
        assert admin(served, f"/admin/rollout/history?limit={limit}")[0] == 400
    assert admin(served, "/admin/rollout/history")[1] == {"changes": []}
