"""A soak of processes that leak on purpose, and of one that does not, as the command is typed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

BRIDGE = Path(__file__).parent / "leaking_bridge.py"
KINDS = {"none": None, "memory": "soak.memory_kib", "files": "soak.files", "tasks": "soak.tasks"}
WATCHED = ("soak.memory_kib", "soak.files", "soak.threads", "soak.tasks")
ROOM = ("--memory-mib", "500", "--files", "1000", "--tasks", "1000")
"""What an hour may bring, made wide: 20 s of a Python program that has just begun are no hour."""


@contextlib.asynccontextmanager
async def bridge(kind: str) -> AsyncIterator[tuple[Process, int]]:
    process = await asyncio.create_subprocess_exec(sys.executable, str(BRIDGE), kind, stdout=PIPE)
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def soak(kind: str, out: Path, *more: str) -> tuple[int | None, str, dict[str, Any]]:
    async with bridge(kind) as (leaking, port):
        command = [sys.executable, "-m", "bridge", "loadtest", "soak"]
        command += ["--target", f"ws://127.0.0.1:{port}/media", "--realtime", "none"]
        command += ["--scenario", "silent", "--calls", "2", "--for", "24s", *ROOM, *more]
        command += ["--pid", str(leaking.pid), "--out", str(out)]
        command += ["--tasks-url", f"http://127.0.0.1:{port}/tasks"]
        done = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        written, complained = await done.communicate()
    file = out / "soak.json"
    text = (written + complained).decode()
    return done.returncode, text, json.loads(file.read_text()) if file.exists() else {}


@pytest.mark.timeout(300)  # four programs of each kind start at once
async def test_each_leak_is_found_by_its_own_figure_and_a_clean_process_passes(
    tmp_path: Path,
) -> None:
    async with asyncio.TaskGroup() as tasks:
        soaks = {kind: tasks.create_task(soak(kind, tmp_path / kind)) for kind in KINDS}
    found: dict[str, list[str]] = {}
    for kind, task in soaks.items():
        _, text, report = task.result()
        assert report, text
        assert report["kind"] == "soak"
        judged = {gate["figure"]: gate["passed"] for gate in report["gates"]}
        assert set(WATCHED) <= judged.keys()
        found[kind] = [figure for figure in WATCHED if not judged[figure]]
        assert len(report["plan"]["soak"]["tasks"]) > 10
        assert (tmp_path / kind / "soak.html").exists()
    assert found == {kind: [figure] if figure else [] for kind, figure in KINDS.items()}


async def test_a_page_that_is_not_there_is_told_before_any_call(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bridge", "loadtest", "soak", "--realtime", "none"]
    command += ["--target", "ws://127.0.0.1:1/media", "--tasks-url", "http://127.0.0.1:1/tasks"]
    command += ["--out", str(tmp_path)]
    refused = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    _, complained = await refused.communicate()
    assert refused.returncode == 2
    assert "http://127.0.0.1:1/tasks: " in complained.decode()
