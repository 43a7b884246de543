"""What a run leaves behind: each call's recording and timeline, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiocodecs import SILENCE_ULAW, byte_count
from loadtest.demo.player import CallReport
from loadtest.demo.timeline import write_jsonl
from loadtest.twilio import Recording

PAUSE_MS = 1000
"""Between calls in the recording of all of them."""


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The files of all calls together; each call has its own in a folder of its name."""

    recording: Path
    timeline: Path


def write_call(folder: Path, report: CallReport) -> None:
    """Stereo WAV (caller left, assistant right) and JSON lines. Raises OSError."""
    own = folder / report.call.name
    own.mkdir(parents=True, exist_ok=True)
    _recording(report).write_wav(own / "call.wav")
    lines = (entry.as_json(report.call.name) for entry in report.entries)
    write_jsonl(own / "timeline.jsonl", lines)


def write_demo(folder: Path, reports: Sequence[CallReport]) -> DemoFiles:
    """The same of all calls, one after the other. Raises OSError."""
    files = DemoFiles(folder / "call.wav", folder / "timeline.jsonl")
    joined(reports).write_wav(files.recording)
    write_jsonl(files.timeline, _all_lines(reports))
    return files


def joined(reports: Sequence[CallReport]) -> Recording:
    """One recording of all calls, with pauses between them."""
    pause = bytes([SILENCE_ULAW]) * byte_count(PAUSE_MS)
    tracks = [_recording(report) for report in reports]
    return Recording(
        caller=pause.join(track.caller for track in tracks),
        assistant=pause.join(track.assistant for track in tracks),
    )


def _all_lines(reports: Sequence[CallReport]) -> Iterator[dict[str, object]]:
    """``wav_ms`` is where in the recording of all calls it can be heard."""
    offset_ms = 0
    for report in reports:
        for entry in report.entries:
            yield {**entry.as_json(report.call.name), "wav_ms": offset_ms + entry.ms}
        offset_ms += _recording(report).duration_ms + PAUSE_MS


def _recording(report: CallReport) -> Recording:
    recording = report.result.recording
    if recording is None:
        raise ValueError(f"call {report.call.name} was played without a recording")
    return recording
