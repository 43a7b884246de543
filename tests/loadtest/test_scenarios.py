"""Scenario files: what they become, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import audiocodecs
from loadtest import scenarios
from loadtest.corpus import Corpus
from loadtest.scenarios.line import speech_dbfs
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
        ('nmae = "x"\n[[steps]]\ndo = "wait"\nms = 1', "name: Field required; nmae: Extra inputs"),
        (
            'name = "x"\n[[steps]]\ndo = "converse"\ncall = "faq"\nfirst_turn = 9',
            "first_turn is 9, expected at most 1",
        ),
        ('name = "x"\nsteps = []', "steps: Tuple should have at least 1 item"),
        ('name = "x"\n[[steps]]\ndo = "sing"', "steps.0: Input tag 'sing' found"),
        ('name = "x"\n[[steps]]\ndo = "wait"\nms = -1', "steps.0.wait.ms: Input should be greater"),
        ('name = "x"\n[[steps]]\ndo = "speak"', "expected either call or wav"),
        ('name = "x"\n[[steps]]\ndo = "speak"\ncall = "opera"', "has no call 'opera'"),
        ('name = "x"\n[[steps]]\ndo = "speak"\nwav = "no.wav"', "No such file"),
        ('name = "x"\n[[steps]]\ndo = "press"\ndigits = "x"', "steps.0.press.digits"),
        ("name = ", "Invalid value"),
    ],
    ids=["keys", "turn", "no steps", "step", "number", "source", "call", "wav", "digits", "toml"],
)
def test_a_wrong_file_is_refused_with_its_name_and_every_fault(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(scenarios.ScenarioError) as refused:
        scenarios.load(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert complaint in str(refused.value)


def test_a_recording_at_another_rate_is_converted_with_a_note(tmp_path: Path) -> None:
    time_s = np.arange(44_100) / 44_100
    wave = (np.sin(2 * np.pi * 440 * time_s) * 8000).astype("<i2").tobytes()
    audio = audiocodecs.WavAudio(wave, audiocodecs.Encoding.PCM16, rate_hz=44_100)
    audiocodecs.write_wav(tmp_path / "wide.wav", audio)
    file = write(tmp_path, 'name = "x"\n[[steps]]\ndo = "speak"\nwav = "wide.wav"')
    scenario = scenarios.load(file)
    assert scenario.notes == (f"{tmp_path / 'wide.wav'}: resampled from 44100 Hz",)
    spoken = scenario.script.steps[0]
    assert isinstance(spoken, Speak)
    assert spoken.clip.duration_ms == 1000
    ulaw = b"".join(frame.ulaw for frame in spoken.clip.frames)
    heard = np.frombuffer(audiocodecs.ulaw_to_pcm16(ulaw), dtype="<i2").astype(float)
    assert np.argmax(np.abs(np.fft.rfft(heard))) == 440
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(8000 / 2**0.5, rel=0.02)


def test_a_recording_that_is_cut_short_is_used_with_a_note(tmp_path: Path) -> None:
    whole = audiocodecs.encode_wav(audiocodecs.WavAudio(b"\x10\x90" * 8000))
    (tmp_path / "cut.wav").write_bytes(whole[:-4000])
    scenario = scenarios.load(
        write(tmp_path, 'name = "x"\n[[steps]]\ndo = "speak"\nwav = "cut.wav"')
    )
    assert scenario.notes == (
        f"{tmp_path / 'cut.wav'}: the file is cut short by 500 ms, used as far as it goes",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected RIFF"),
        (b"ID3 music", "expected RIFF"),
        (audiocodecs.encode_wav(audiocodecs.WavAudio(b"\xff" * 10, rate_hz=500)), "500 Hz"),
        (audiocodecs.encode_wav(audiocodecs.WavAudio(b"")), "holds no audio"),
    ],
    ids=["empty", "mp3", "rate", "silent"],
)
def test_a_recording_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "own.wav").write_bytes(content)
    file = write(tmp_path, 'name = "x"\n[[steps]]\ndo = "speak"\nwav = "own.wav"')
    with pytest.raises(scenarios.ScenarioError, match=message):
        scenarios.load(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'name = "\xff\xfe"', "byte 8 is not UTF-8"),
        (b'name = "x"\nsteps = []\n[expect]\nintnt = "billing"', r"expect.intnt: Extra inputs"),
    ],
    ids=["not UTF-8", "unknown expectation"],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes(content)
    with pytest.raises(scenarios.ScenarioError, match=message):
        scenarios.load(file)


def test_noise_is_put_under_speech_and_pauses_at_the_chosen_distance(tmp_path: Path) -> None:
    steps = '[[steps]]\ndo = "speak"\ncall = "faq"'
    clean = scenarios.load(write(tmp_path, f'name = "x"\n{steps}'))
    noisy = scenarios.load(write(tmp_path, f'name = "x"\n[line]\nsnr_db = 10\n{steps}'))
    said, under = clean.script.steps[0], noisy.script.steps[0]
    assert isinstance(said, Speak)
    assert isinstance(under, Speak)
    assert under.clip.speech == said.clip.speech
    level_dbfs = speech_dbfs(said.clip)
    assert level_dbfs is not None
    pause = b"".join(frame.ulaw for frame in noisy.script.background)
    assert audiocodecs.ulaw_level_dbfs(pause) == pytest.approx(level_dbfs - 10, abs=0.5)


def test_conditions_of_the_line_are_read(tmp_path: Path) -> None:
    line = "[line]\nloss_percent = 2\njitter_ms = 40"
    steps = '[[steps]]\ndo = "wait"\nms = 1'
    scenario = scenarios.load(write(tmp_path, f'name = "x"\nmodel = "faq"\n{line}\n{steps}'))
    assert scenario.line == scenarios.LineConditions(loss_percent=2.0, jitter_ms=40.0)
    assert scenario.model == "faq"
    asked = ["snr=10dB", "loss=1.5%", "loss-run=3", "jitter=40ms", "burst=0.2s", "burst-every=5s"]
    assert scenarios.parse_conditions(asked) == scenarios.LineConditions(
        10.0, 1.5, 3.0, 40.0, 200.0, 5000.0
    )


@pytest.mark.parametrize(
    ("loss", "run", "most", "needed"), [(60, 1, 50, "1.5"), (80, 3, 75, "4"), (90, 8, 88.89, "9")]
)
def test_a_loss_that_its_runs_cannot_make_is_refused_with_what_they_can(
    tmp_path: Path, loss: int, run: int, most: float, needed: str
) -> None:
    told = (
        f"line condition loss (loss_percent) is {loss}, expected 0 to {most:g} with "
        f"loss-run (loss_run) {run}; so much needs a loss-run of {needed} or more"
    )
    with pytest.raises(scenarios.LineError) as refused:
        scenarios.parse_conditions([f"loss={loss}%", f"loss-run={run}"])
    assert str(refused.value) == told
    line = f"[line]\nloss_percent = {loss}\nloss_run = {run}"
    file = write(tmp_path, f'name = "x"\n{line}\n[[steps]]\ndo = "wait"\nms = 1')
    with pytest.raises(scenarios.ScenarioError) as named:
        scenarios.load(file)
    assert str(named.value) == f"{file}: {told}"


@pytest.mark.parametrize("text", ["loss", "loss=1", "loss=1ms", "lost=1%", "loss=95%", "snr=3%"])
def test_conditions_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(scenarios.LineError, match="expected") as refused:
        scenarios.parse_conditions([text])
    assert text.partition("=")[0] in str(refused.value)


def test_an_unknown_packaged_name_lists_what_there_is() -> None:
    with pytest.raises(scenarios.ScenarioError, match="no scenario 'opera'; there are billing,"):
        scenarios.packaged("opera")
