"""The corpus beside the project, sox where it is installed, and any cutting of a stream."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"

RunSox = Callable[..., bytes]


@pytest.fixture
def sox() -> RunSox:
    """Run sox (or another program of its family) on standard input; give its standard output."""
    if shutil.which("sox") is None:
        pytest.skip("sox is not installed")

    def run(*arguments: str | Path, stdin: bytes = b"", program: str = "sox") -> bytes:
        command = [program, *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=30, check=False)  # noqa: S603
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout or done.stderr

    return run


@pytest.fixture
def corpus() -> Path:
    if not CORPUS.is_dir():
        pytest.skip("the speech corpus does not sit beside the project")
    return CORPUS
