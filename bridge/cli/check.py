"""``triage-bridge check``: every mistake in a triage file, with its line, before calls meet it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.environment import Environment
from bridge.errors import ConfigurationError
from dispatch.positions import Positions
from dispatch.triagefile import (
    Finding,
    LoadedPolicy,
    TriageFileError,
    check_file,
    check_folder,
    files_in,
    load,
)

if TYPE_CHECKING:
    from dispatch.rest_client import RestSettings

FAULTY = 1


@click.command("check")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--online",
    is_flag=True,
    help="Also ask Twilio whether flows, workflows and task channels exist and filters match.",
)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def command(path: Path, online: bool, strict: bool) -> None:
    """Find the mistakes of a triage file, or of a folder with one for each tenant.

    Exit status 1 if there are errors. With --online the credentials come from the environment
    (TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or TWILIO_API_KEY with TWILIO_API_SECRET).
    """
    findings = check_folder(path) if path.is_dir() else check_file(path)
    sound = _sound(path)
    findings += _refused_by_the_model(sound)
    if online:
        findings += _online(sound, os.environ)
    for finding in findings:
        click.echo(str(finding))
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    click.echo(_summary(errors, warnings))
    if errors or (strict and warnings):
        raise SystemExit(FAULTY)


def _summary(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return "no mistakes found"
    return f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}"


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _sound(path: Path) -> list[LoadedPolicy]:
    """The files without an error: those of the others are told already."""
    sound: list[LoadedPolicy] = []
    for file in files_in(path):
        with contextlib.suppress(TriageFileError):
            sound.append(load(file))
    return sound


def _refused_by_the_model(sound: Sequence[LoadedPolicy]) -> list[Finding]:
    """What ``serve`` would refuse to begin with."""
    from bridge.tenants import session_fault

    findings: list[Finding] = []
    for one in sound:
        fault = session_fault(one.policy)
        if fault is not None:
            name, _, text = fault.partition(" ")
            field = f"model.{name}"
            line = Positions(one.text).line(tuple(field.split(".")))
            findings.append(Finding(str(one.path), line, field, "error", text))
    return findings


def _online(sound: Sequence[LoadedPolicy], environ: Mapping[str, str]) -> list[Finding]:
    """Of the files that are sound. Raises ConfigurationError without credentials."""
    # Imported here: an editor that checks at every save need not wait for the REST client.
    from bridge.outward import rest_settings
    from bridge.outward_settings import outward_settings
    from bridge.settings_reader import twilio_settings

    env = Environment(environ)
    credentials = rest_settings(twilio_settings(env, True), outward_settings(env, environ))
    if env.faults:
        raise ConfigurationError(env.faults)
    if credentials is None:
        raise ConfigurationError(
            ["--online needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN (or an API key)"]
        )
    return [*_unset_secrets(sound, env), *asyncio.run(_ask(sound, credentials))]


async def _ask(sound: Sequence[LoadedPolicy], settings: RestSettings) -> list[Finding]:
    from dispatch.online import ask_twilio
    from dispatch.rest import TwilioRest
    from dispatch.rest_client import RestClient

    client = RestClient(settings, random.Random())  # noqa: S311 - jitter
    findings: list[Finding] = []
    try:
        for one in sound:
            positions = Positions(one.text)
            async for found in ask_twilio(one.policy, TwilioRest(client)):
                where, text = found.fault
                field = ".".join(map(str, where))
                line = positions.line(where)
                findings.append(Finding(str(one.path), line, field, found.severity, text))
    finally:
        await client.close()
    return findings


def _unset_secrets(sound: Sequence[LoadedPolicy], env: Environment) -> list[Finding]:
    """Look-ups whose secret is not in this environment, where they may not be meant to be used."""
    findings: list[Finding] = []
    for one in sound:
        positions = Positions(one.text)
        for index, tool in enumerate(one.policy.tools):
            if tool.secret_env is not None and not env.has(tool.secret_env):
                line = positions.line(("tool", index, "secret_env"))
                field, text = f"tool[{tool.name}].secret_env", f"{tool.secret_env} is not set here"
                findings.append(Finding(str(one.path), line, field, "warning", text))
    return findings
