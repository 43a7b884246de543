"""The cache of spoken lines."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bridge.lines import CHUNK_BYTES, LineCache, line_key

LINE = ("marin", "gpt-realtime-2.1", "Hello.")
ULAW = bytes(range(256)) * 20


def test_a_kept_line_is_there_for_every_process(tmp_path: Path) -> None:
    kept = LineCache(tmp_path / "lines").put(*LINE, ULAW)
    found = LineCache(tmp_path / "lines").get(*LINE)
    assert found == kept
    assert found is not None
    pieces = [base64.b64decode(payload) for payload in found.payloads]
    assert b"".join(pieces) == ULAW
    assert max(map(len, pieces)) == CHUNK_BYTES


@pytest.mark.parametrize(
    "other",
    [
        ("cedar", "gpt-realtime-2.1", "Hello."),
        ("marin", "gpt-realtime", "Hello."),
        ("marin", "gpt-realtime-2.1", "Hello!"),
    ],
    ids=["voice", "model", "text"],
)
def test_another_voice_model_or_text_is_another_line(
    tmp_path: Path, other: tuple[str, str, str]
) -> None:
    cache = LineCache(tmp_path)
    cache.put(*LINE, ULAW)
    assert cache.get(*other) is None


def test_a_line_that_appears_later_is_found(tmp_path: Path) -> None:
    cache = LineCache(tmp_path)
    assert cache.get(*LINE) is None
    LineCache(tmp_path).put(*LINE, ULAW)
    assert cache.get(*LINE) is not None


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all"])
def test_a_file_that_cannot_be_read_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{line_key(*LINE)}.wav").write_bytes(content)
    assert LineCache(tmp_path).get(*LINE) is None


def test_nothing_but_whole_files_is_left_in_the_folder(tmp_path: Path) -> None:
    LineCache(tmp_path).put(*LINE, ULAW)
    assert [path.suffix for path in tmp_path.iterdir()] == [".wav"]
