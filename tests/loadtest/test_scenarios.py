"""Scenario files: what they become, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import audiocodecs
from loadtest import scenarios
from loadtest.corpus import Corpus
from loadtest.twilio import (
    Agent,
    Callee,
    HangUp,
    InterruptAfterMs,
    Press,
    Speak,
    StayOnLine,
    WaitMs,
    WaitUntilAssistantSilent,
    noise_frames,
)

EVERYTHING = """
name = "everything"
from = "+14155550111"
to = "+14155550222"
max_call_ms = 5000
noise_dbfs = -55
[expect]
intent = "billing"
[agent]
after_ms = 10
refusal = "queue-full"
[callees."+14155550001"]
answer = "busy"
keys = [[500, "1"]]
[[steps]]
do = "wait"
ms = 5
[[steps]]
do = "converse"
call = "faq"
after_ms = 300
max_ms = 900
[[steps]]
do = "interrupt_after"
ms = 1200
[[steps]]
do = "speak"
wav = "own.wav"
[[steps]]
do = "press"
digits = "1#"
[[steps]]
do = "stay_on_line"
max_ms = 70
[[steps]]
do = "hang_up"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "scenario.toml"
    file.write_text(text)
    return file


def test_a_file_becomes_a_script(tmp_path: Path) -> None:
    own = b"\x10" * 320
    audiocodecs.write_wav(tmp_path / "own.wav", audiocodecs.WavAudio(own))
    scenario = scenarios.load(write(tmp_path, EVERYTHING))
    script = scenario.script
    assert (script.from_number, script.to_number) == ("+14155550111", "+14155550222")
    assert script.max_call_ms == 5000
    assert script.background == noise_frames(-55)
    assert script.agent == Agent(after_ms=10, refusal="queue-full")
    assert script.callees == {"+14155550001": Callee("busy", keys=((500, "1"),))}
    assert scenario.expect == {"intent": "billing"}
    *_, said, _, _, _ = script.steps
    assert isinstance(said, Speak)
    assert b"".join(frame.ulaw for frame in said.clip.frames) == own
    assert script.steps == (
        WaitMs(5),
        WaitUntilAssistantSilent(300, 900),
        Speak(Corpus().call("faq").clip(1)),
        InterruptAfterMs(1200),
        said,
        Press("1#"),
        StayOnLine(70),
        HangUp(),
    )


@pytest.mark.parametrize("name", scenarios.packaged_names())
def test_every_packaged_scenario_can_be_loaded(name: str) -> None:
    scenario = scenarios.packaged(name)
    assert scenario.name == name
    assert scenario.script.steps


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('nmae = "x"\nsteps = []', "name: Field required; nmae: Extra inputs are not permitted"),
        ('name = "x"\n[[steps]]\ndo = "sing"', "steps.0: Input tag 'sing' found"),
        ('name = "x"\n[[steps]]\ndo = "wait"\nms = -1', "steps.0.wait.ms: Input should be greater"),
        ('name = "x"\n[[steps]]\ndo = "speak"', "expected either call or wav"),
        ('name = "x"\n[[steps]]\ndo = "speak"\ncall = "opera"', "has no call 'opera'"),
        ('name = "x"\n[[steps]]\ndo = "speak"\nwav = "no.wav"', "No such file"),
        ('name = "x"\n[[steps]]\ndo = "press"\ndigits = "x"', "steps.0.press.digits"),
        ("name = ", "Invalid value"),
    ],
    ids=["keys", "step", "number", "source", "call", "wav", "digits", "toml"],
)
def test_a_wrong_file_is_refused_with_its_name_and_every_fault(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(scenarios.ScenarioError) as refused:
        scenarios.load(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert complaint in str(refused.value)


def test_a_recording_in_another_format_is_refused(tmp_path: Path) -> None:
    audio = audiocodecs.WavAudio(b"\0\0" * 160, audiocodecs.Encoding.PCM16, rate_hz=16000)
    audiocodecs.write_wav(tmp_path / "wide.wav", audio)
    file = write(tmp_path, 'name = "x"\n[[steps]]\ndo = "speak"\nwav = "wide.wav"')
    with pytest.raises(scenarios.ScenarioError, match="16000 Hz with 1 channels, expected 8000"):
        scenarios.load(file)


def test_an_unknown_packaged_name_lists_what_there_is() -> None:
    with pytest.raises(scenarios.ScenarioError, match="no scenario 'opera'; there are billing,"):
        scenarios.packaged("opera")
