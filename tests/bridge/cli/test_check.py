"""``check`` and ``schema`` as an operator runs them."""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from tests.bridge.cli.conftest import ROOT, Ended, Run
from tests.dispatch.wires import ACCOUNT, AUTH_TOKEN, twilio

EXAMPLE = ROOT / "examples" / "acme-plumbing.toml"
FLEX, CALLBACKS = "WW" + "0" * 31 + "1", "WW" + "0" * 31 + "2"
TAKES_ALL = {"task_routing": {"filters": [{"expression": "1 == 1", "targets": []}]}}
CRM_LINE = 'secret_env = "CRM_TOKEN"'
CREDENTIALS = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": AUTH_TOKEN}


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    text = EXAMPLE.read_text(encoding="utf-8")
    text = text.replace('kind = "voicemail"', 'kind = "voicmail"')
    text = text.replace('digit = "9"', 'digit = "99"')
    text = text.replace('route = "scheduling"\non_failure', 'route = "schedulling"\non_failure', 1)
    file = tmp_path / "faulty.toml"
    file.write_text(text, encoding="utf-8")
    return file


def line_of(file: Path, text: str) -> int:
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_sound_file_is_found_sound(run: Run) -> None:
    ended = run("check", str(EXAMPLE))
    assert (ended.status, ended.out, ended.err) == (0, "no mistakes found\n", "")


def test_every_mistake_is_told_at_once_with_file_line_and_field(run: Run, faulty: Path) -> None:
    ended = run("check", str(faulty))
    *findings, summary = ended.out.splitlines()
    digit_line = line_of(faulty, '"99"')
    places = [finding.split(": ")[0] for finding in findings]
    assert (ended.status, summary) == (1, "3 errors, no warnings")
    assert places == [
        f"{faulty}:{line_of(faulty, '[routes.message]')}",
        f"{faulty}:{line_of(faulty, 'schedulling')}",
        f"{faulty}:{digit_line}",
    ]
    assert "did you mean 'voicemail'?" in findings[0]
    assert "there is no route 'schedulling'" in findings[1]
    assert "intent[emergency].digit" in findings[2]


@pytest.mark.parametrize(
    ("was", "written", "at", "told"),
    [
        (
            'model = "gpt-transcribe"',
            'model = "whisper-1"',
            "keywords = [",
            "model.transcription.keywords: are set, but whisper-1 takes none",
        ),
        ('voice = "marin"', 'voice = " "', 'voice = " "', "model.voice: is ' ', expected a name"),
        (
            'model = "gpt-transcribe"',
            'model = " "',
            'model = " "',
            "model.transcription.model: is ' ', expected a name",
        ),
    ],
    ids=["keywords", "voice", "transcription"],
)
def test_what_serve_would_refuse_is_a_mistake(
    run: Run, tmp_path: Path, was: str, written: str, at: str, told: str
) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert was in text
    file = tmp_path / "refused.toml"
    file.write_text(text.replace(was, written), encoding="utf-8")
    ended = run("check", str(file))
    assert (ended.status, ended.out.splitlines()) == (
        1,
        [f"{file}:{line_of(file, at)}: error: {told}", "1 error, no warnings"],
    )


def test_warnings_fail_only_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    file = tmp_path / "warned.toml"
    file.write_text(text + '\n[routes.spare]\nkind = "resolve"\n', encoding="utf-8")
    assert run("check", str(file)).out.splitlines()[-1] == "no errors, 1 warning"
    assert run("check", str(file)).status == 0
    assert run("check", str(file), "--strict").status == 1


def test_a_folder_is_checked_as_a_whole(run: Run, tmp_path: Path) -> None:
    for name in ("one.toml", "two.toml"):
        (tmp_path / name).write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    ended = run("check", str(tmp_path))
    assert ended.status == 1
    assert "tenant 'acme-plumbing' belongs to one.toml already" in ended.out
    assert "number '+14155550100' belongs to one.toml already" in ended.out


def test_a_file_that_is_not_there_is_a_wrong_use(run: Run) -> None:
    assert run("check", "nowhere.toml").status == 2


def test_the_schema_takes_the_example_and_refuses_unknown_keys(run: Run) -> None:
    schema = json.loads(run("schema").out)
    validator = jsonschema.Draft202012Validator(schema)
    file = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert list(validator.iter_errors(file)) == []
    assert [error.message for error in validator.iter_errors({**file, "tenants": 1})]


# --- asking Twilio --------------------------------------------------------------------------


async def asked(run: Run, file: Path, *workflows: str) -> Ended:
    """``check --online`` towards an account that has these workflows."""
    has = dict.fromkeys(workflows, TAKES_ALL)
    async with twilio(workflows=has) as simulated:
        environ = {**CREDENTIALS, "TWILIO_REST_URL": simulated.rest_url}
        return await asyncio.to_thread(run, "check", "--online", str(file), **environ)


async def test_a_file_that_fits_its_account(run: Run) -> None:
    ended = await asked(run, EXAMPLE, FLEX, CALLBACKS)
    assert (ended.status, ended.out) == (0, "no mistakes found\n")


async def test_what_the_account_lacks_has_its_line(run: Run) -> None:
    ended = await asked(run, EXAMPLE, FLEX)
    what = "error: routes.call_back.workflow_sid: is not a workflow of this workspace"
    assert ended.status == 1
    assert ended.out.splitlines() == [
        f"{EXAMPLE}:{line_of(EXAMPLE, CALLBACKS)}: {what}",
        "1 error, no warnings",
    ]


async def test_the_secret_of_a_look_up_that_is_not_set_is_warned_of(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "acme.toml"
    tool = (
        '\n[[tool]]\nname = "customer"\ndescription = "A customer."\n'
        'url = "https://crm.example/x"\nsecret_env = "CRM_TOKEN"\n'
    )
    file.write_text(EXAMPLE.read_text(encoding="utf-8") + tool, encoding="utf-8")
    ended = await asked(run, file, FLEX, CALLBACKS)
    where = f"{file}:{line_of(file, CRM_LINE)}"
    assert ended.out.splitlines()[0] == (
        f"{where}: warning: tool[customer].secret_env: CRM_TOKEN is not set here"
    )


def test_asking_without_credentials_says_what_is_missing(run: Run) -> None:
    ended = run("check", "--online", str(EXAMPLE))
    assert ended.status == 2
    assert "--online needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN" in ended.err


def test_twilios_address_can_only_be_replaced_by_this_machines(run: Run) -> None:
    ended = run(
        "check", "--online", str(EXAMPLE), TWILIO_REST_URL="https://evil.example", **CREDENTIALS
    )
    assert ended.status == 2
    assert "TWILIO_REST_URL is 'https://evil.example', expected a simulator" in ended.err
