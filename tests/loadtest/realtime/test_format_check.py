from __future__ import annotations

import pytest

from loadtest.realtime import assistant_lines
from loadtest.realtime.format_check import FormatCheck
from loadtest.realtime.formats import AudioFormat

LINES = sorted(assistant_lines().names)
G711 = [AudioFormat.PCMU, AudioFormat.PCMA]


def verdicts(configured: AudioFormat, audio: bytes, chunk_ms: int = 20) -> list[str]:
    check = FormatCheck(configured)
    step = chunk_ms * configured.bytes_per_ms
    found = (check.feed(audio[start : start + step]) for start in range(0, len(audio), step))
    return [verdict for verdict in found if verdict is not None]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("configured", list(AudioFormat), ids=lambda f: f.name)
def test_speech_in_the_configured_format_is_never_accused(
    configured: AudioFormat, line: str
) -> None:
    assert verdicts(configured, assistant_lines().audio(line, configured)) == []


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("sent", G711, ids=lambda f: f.name)
def test_g711_where_pcm_was_configured_is_noticed_once(sent: AudioFormat, line: str) -> None:
    audio = assistant_lines().audio(line, sent)
    # A short line gives too few bytes: at PCM's rate they last a sixth of the time.
    assert verdicts(AudioFormat.PCM, audio * 6) == ["G.711"]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("configured", G711, ids=lambda f: f.name)
def test_pcm_where_g711_was_configured_is_noticed_once(configured: AudioFormat, line: str) -> None:
    audio = assistant_lines().audio(line, AudioFormat.PCM)
    assert verdicts(configured, audio) == ["PCM16"]


@pytest.mark.parametrize("configured", list(AudioFormat), ids=lambda f: f.name)
def test_silence_says_nothing(configured: AudioFormat) -> None:
    assert verdicts(configured, configured.silence(5000)) == []


def test_digital_silence_of_pcm_is_noticed_where_mulaw_was_configured() -> None:
    assert verdicts(AudioFormat.PCMU, AudioFormat.PCM.silence(2000)) == ["PCM16"]
