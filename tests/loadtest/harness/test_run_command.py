"""``triage-bridge loadtest run`` and ``merge`` as people use them."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner
from websockets.asyncio.server import ServerConnection, serve

from loadtest.harness.cli import loadtest_group
from loadtest.harness.result import Result, read, write

MakeResult: TypeAlias = Callable[..., Result]
NOWHERE = "ws://127.0.0.1:9/media"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected one of --target, --voice, --own-bridge; given: nothing"),
        (["--target", NOWHERE, "--own-bridge"], "given: --target and --own-bridge"),
        (["--target", "wss://bridge.example/media"], "bridge.example is not this machine"),
        (["--target", NOWHERE, "--realtime", "none"], "nobody takes connections at 127.0.0.1:9"),
        (["--target", NOWHERE, "--gate", "speed=1"], "there is no figure 'speed'"),
        (
            ["--target", NOWHERE, "--realtime", "none", "--gate", "uplink.p95=9ms"],
            "this run will not measure uplink; it can measure",
        ),
        (
            ["--own-bridge", "--scenario", "silent", "--gate", "misrouted=0"],
            "callers who expect no outcome",
        ),
        (
            ["--target", NOWHERE, "--realtime", "openai"],
            "no call was placed; --yes places them without a question",
        ),
        (["--target", NOWHERE, "--scenario", "opera"], "no scenario 'opera'"),
        (["--target", NOWHERE, "--line", "loss=much"], "line condition 'loss=much': expected"),
        (["--target", NOWHERE, "--line", "loss=200%"], "line condition loss (loss_percent) is 200"),
        (["--own-bridge", "--pid", "1"], "--pid: with --own-bridge"),
        (["--own-bridge", "--realtime-port", "9401"], "--realtime-port: a bridge started by"),
        (["--own-bridge", "--resolve", "https://a.example=http://127.0.0.1:1"], "--resolve: --own"),
        (["--own-bridge", "--parameter", "a=b"], "--parameter: through the webhook"),
        (["--target", NOWHERE, "--degrade", "melt"], "melt"),
        (["--target", NOWHERE, "--for", "soon"], "expected a time such as 90s, 2m or 1h"),
        (["--target", NOWHERE, "--ramp", "0/s"], "expected a rate up to 1000/s"),
        (["--target", NOWHERE, "--auth-token-env", "NOT_SET_X"], "NOT_SET_X is not set"),
        (["--target", NOWHERE, "--corpus", "/nonexistent"], "calls.jsonl cannot be read"),
    ],
)
def test_wrong_use_says_what_and_where(options: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(loadtest_group(), ["run", "--out", str(tmp_path), *options])
    assert result.exit_code == 2
    assert message in result.output


def test_the_real_model_is_asked_about_with_its_cost_first(tmp_path: Path) -> None:
    options = ["--target", NOWHERE, "--realtime", "openai", "--out", str(tmp_path)]
    result = CliRunner().invoke(loadtest_group(), ["run", *options], input="n\n")
    assert result.exit_code == 2
    assert "expected cost: about" in result.output
    assert "no call was placed" in result.output
    unpriced = CliRunner().invoke(
        loadtest_group(), ["run", *options, "--realtime-model", "gpt-0", "--yes"]
    )
    assert "no prices for 'gpt-0'; there are gpt-realtime-2.1" in unpriced.output


async def test_an_interrupted_run_writes_its_report_and_says_so(tmp_path: Path) -> None:
    async def listen(connection: ServerConnection) -> None:
        async for _ in connection:
            pass

    async with serve(listen, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}/media"
        options = ["--target", url, "--realtime", "none", "--calls", "2", "--for", "5m"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "loadtest", "run", *options, "--out", str(tmp_path)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert b"calls up" in await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            output, _ = await process.communicate()
    assert process.returncode == 130, output.decode()
    result = read(tmp_path / "run.json")
    assert result.partial
    assert result.counts["calls"] == 2
    assert "<html" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_an_interruption_before_the_first_call_is_no_failed_gate(tmp_path: Path) -> None:
    def interrupted(_triage_file: Path, _folder: Path) -> dict[str, str]:
        raise KeyboardInterrupt

    done = CliRunner().invoke(
        loadtest_group(interrupted), ["run", "--own-bridge", "--out", str(tmp_path)]
    )
    assert done.exit_code == 130
    assert "interrupted before anything was measured" in done.output


def test_merge_adds_files_up_and_judges_gates_on_the_whole(
    make_result: MakeResult, tmp_path: Path
) -> None:
    for name, values in (("a", [10.0, 20.0]), ("b", [900.0])):
        write(make_result({"greeting": values}), tmp_path / f"{name}.json")
    files = [str(tmp_path / name) for name in ("a.json", "b.json")]
    good = ["merge", *files, "--out", str(tmp_path / "out"), "--gate", "greeting.p50=25ms"]
    assert CliRunner().invoke(loadtest_group(), good).exit_code == 0
    whole = read(tmp_path / "out" / "merged.json")
    assert (whole.kind, whole.figures["greeting"].count, whole.counts["calls"]) == ("merged", 3, 4)
    bad = [*good[:-1], "greeting.max=25ms"]
    assert CliRunner().invoke(loadtest_group(), bad).exit_code == 1


def test_merge_counts_no_run_twice(make_result: MakeResult, tmp_path: Path) -> None:
    for name, greeting_ms in (("a", 10.0), ("b", 20.0), ("copy", 10.0)):
        write(make_result({"greeting": [greeting_ms]}), tmp_path / f"{name}.json")

    def merged(*names: str) -> tuple[int, str]:
        files = [str(tmp_path / name) for name in names]
        done = CliRunner().invoke(loadtest_group(), ["merge", *files, "--out", str(tmp_path)])
        return done.exit_code, done.output.replace("\n", "")

    status, said = merged("a.json", "copy.json")
    assert (status, (tmp_path / "merged.json").exists()) == (2, False)
    assert "copy.json: holds a run that" in said
    assert merged("a.json", "b.json")[0] == 0
    assert merged("b.json", "merged.json")[0] == 2


def test_merge_carries_a_late_run_into_the_exit_status(
    make_result: MakeResult, tmp_path: Path
) -> None:
    write(make_result(valid=False, invalid_because=("late",)), tmp_path / "a.json")
    done = CliRunner().invoke(
        loadtest_group(), ["merge", str(tmp_path / "a.json"), "--out", str(tmp_path)]
    )
    assert done.exit_code == 3


@pytest.mark.parametrize("content", ["", "{}", json.dumps({"schema": 7})])
def test_merge_refuses_what_is_no_result(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    done = CliRunner().invoke(loadtest_group(), ["merge", str(tmp_path / "x.json")])
    assert done.exit_code == 2
    assert "x.json: " in done.output


def test_the_commands_are_listed_with_the_exit_statuses() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "loadtest", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "3 not valid" in done.stdout
    assert {"run", "merge"} <= set(done.stdout.split())


@pytest.mark.parametrize(
    ("command", "out"),
    [
        (["run", "--own-bridge"], ""),
        (["soak", "--own-bridge"], ""),
        (["capacity"], "capacity.json"),
    ],
    ids=["run", "soak", "capacity"],
)
def test_a_result_that_cannot_be_written_is_told_before_anything_is_measured(
    command: list[str], out: str, tmp_path: Path
) -> None:
    in_the_way = tmp_path / f"{command[0]}.json"
    in_the_way.mkdir()
    result = CliRunner().invoke(loadtest_group(), [*command, "--out", str(tmp_path / out)])
    assert result.exit_code == 2
    assert str(in_the_way) in result.output
    assert "is a directory" in result.output.lower()
    assert not (tmp_path / "bridge.log").exists()
