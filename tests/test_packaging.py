"""What an installed package and the container hold: all that runs, and nothing of the tests."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DATA = {
    "bridge/py.typed",
    "bridge/store/prices.toml",
    "bridge/store/migrations/versions/0001_first_tables.py",
    "loadtest/demo/acme-plumbing.toml",
    "loadtest/demo/scenarios/emergency.toml",
    "loadtest/demo/audio/kind_of_work.wav",
    "loadtest/scenarios/billing.toml",
    "loadtest/audio/assistant/greeting.wav",
    "audiocodecs/__init__.py",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as the Dockerfile does, from what it copies and nothing else."""
    context, wheels = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("wheels")
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            _copy(ROOT / source, context / target)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    built = subprocess.run(command, cwd=context, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    assert built.returncode == 0, built.stderr
    [wheel] = wheels.glob("*.whl")
    return wheel


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target / source.name if target.is_dir() else target)


def test_the_wheel_that_the_dockerfile_builds_holds_everything_that_runs(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    assert names >= DATA
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"bridge", "dispatch", "loadtest", "audiocodecs"}


def test_the_wheel_says_under_which_licence_it_comes_and_holds_its_text(wheel: Path) -> None:
    with ZipFile(wheel) as built:
        info = next(name for name in built.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = built.read(info).decode()
        text = built.read(info.replace("METADATA", "licenses/LICENSE")).decode()
    assert "License-Expression: MIT\n" in metadata
    assert text == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_demo_finds_its_triage_file_in_an_installed_package(
    wheel: Path, tmp_path: Path
) -> None:
    ZipFile(wheel).extractall(tmp_path)
    code = "from bridge.cli._demo_bridge import TRIAGE_FILE as file; print(file.is_file(), file)"
    command = [sys.executable, "-c", code]
    asked = subprocess.run(  # noqa: S603 - our own command
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    packaged = tmp_path / "loadtest" / "demo" / "acme-plumbing.toml"
    assert asked.stdout.strip() == f"True {packaged}", asked.stderr


def test_the_container_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    assert re.search(r"^USER (?!root)\w+$", DOCKERFILE, re.MULTILINE)
    assert "HEALTHCHECK" in DOCKERFILE
    assert "/healthz" in DOCKERFILE
    assert DOCKERFILE.count("--require-hashes") == 2
