"""What a run leaves in its folder."""

from __future__ import annotations

import io
import json
import wave
from dataclasses import replace
from pathlib import Path

import pytest

from audiocodecs import read_wav
from loadtest.demo import Screen, show_summary, write_call, write_demo
from loadtest.demo.figures import Cut
from loadtest.demo.recordings import PAUSE_MS
from loadtest.demo.timeline import Entry
from loadtest.twilio import Hangup, Recording
from tests.loadtest.demo.conftest import report, result

FIRST = Recording(caller=b"\x10" * 800, assistant=b"\x20" * 800)
SECOND = Recording(caller=b"\x30" * 1600, assistant=b"\x40" * 1600)
ENTRY = Entry(50, "bridge", "turn", {"turn": 1})
REPORTS = [
    report("emergency", result(Hangup(), recording=FIRST), [ENTRY]),
    report("billing", result(Hangup(), recording=SECOND), [ENTRY]),
]


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_call_has_a_stereo_recording_and_a_timeline(tmp_path: Path) -> None:
    write_call(tmp_path, REPORTS[0])
    audio = read_wav(tmp_path / "emergency" / "call.wav")
    assert (audio.channels, audio.rate_hz, audio.duration_ms) == (2, 8000, 100)
    assert audio.ulaw() == b"\x10\x20" * 800
    assert lines(tmp_path / "emergency" / "timeline.jsonl") == [
        {"ms": 50, "source": "bridge", "call": "emergency", "kind": "turn", "turn": 1}
    ]


def test_all_calls_together_follow_one_another_after_a_pause(tmp_path: Path) -> None:
    files = write_demo(tmp_path, REPORTS)
    audio = read_wav(files.recording)
    pause = b"\xff\xff" * (PAUSE_MS * 8)
    assert audio.ulaw() == b"\x10\x20" * 800 + pause + b"\x30\x40" * 1600
    assert [(line["call"], line["ms"], line["wav_ms"]) for line in lines(files.timeline)] == [
        ("emergency", 50, 50),
        ("billing", 50, 100 + PAUSE_MS + 50),
    ]


def test_any_player_can_play_it(tmp_path: Path) -> None:
    """Plain PCM: the standard library, like many a player, knows no mu-law."""
    files = write_demo(tmp_path, REPORTS[:1])
    with wave.open(str(files.recording)) as audio:
        assert audio.getparams()[:4] == (2, 2, 8000, 800)


def test_one_call_alone_is_the_recording_of_all(tmp_path: Path) -> None:
    write_call(tmp_path, REPORTS[1])
    files = write_demo(tmp_path, REPORTS[1:])
    assert files.recording.read_bytes() == (tmp_path / "billing" / "call.wav").read_bytes()


def test_a_call_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="call billing was played without a recording"):
        write_call(tmp_path, report("billing", result(Hangup())))


def test_the_summary_says_how_each_call_went_and_where_its_files_are(tmp_path: Path) -> None:
    text = io.StringIO()
    failed = report("billing", result(Hangup(), recording=SECOND), faults=["lost"])
    files = write_demo(tmp_path, [REPORTS[0], failed])
    show_summary(Screen(text), [REPORTS[0], failed], files, tmp_path / "bridge.log")
    rows = [line.split() for line in text.getvalue().splitlines()]
    assert [(row[0], row[-1]) for row in rows if row[-1:] in (["ok"], ["failed"])] == [
        ("emergency", "ok"),
        ("billing", "failed"),
    ]
    assert f"timeline   {tmp_path}/timeline.jsonl" in text.getvalue()
    assert f"logs       {tmp_path}/bridge.log" in text.getvalue()


def test_the_summary_says_how_soon_an_interrupted_assistant_was_silent(tmp_path: Path) -> None:
    """Not how much of its answer was heard, which stands in milliseconds too."""
    text = io.StringIO()
    cuts = (Cut("item_1", heard_ms=3449, sent_ms=17011, silent_after_ms=61),)
    cut = replace(REPORTS[0], cuts=cuts)
    show_summary(Screen(text), [cut, REPORTS[1]], write_demo(tmp_path, REPORTS), tmp_path)
    rows = [line.split() for line in text.getvalue().splitlines()]
    told = {row[0]: row[-4:-1] for row in rows if row[-1:] == ["ok"]}
    assert told["emergency"] == ["after", "61", "ms"]
    assert told["billing"] == ["-", "-", "-"]
    assert "3449" not in text.getvalue()
