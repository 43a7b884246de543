"""Who calls: scenarios, corpora and recordings, drawn by weight and seed."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

import audiocodecs
from loadtest.corpus import PACKAGED
from loadtest.harness.callers import DEFAULT, CallersError, Prepared, read_callers
from loadtest.scenarios import LineConditions
from loadtest.scenarios.line import PERFECT
from loadtest.twilio import Speak

SHARED = Path(__file__).parents[4] / "shared" / "corpus"


def names(count: int, seed: int, *asked: str) -> list[str]:
    drawn = read_callers(asked, [], None, PERFECT).drawn(random.Random(seed))
    return [drawn.next().scenario.name for _ in range(count)]


def test_weights_decide_how_often_each_calls() -> None:
    seen = Counter(names(2000, 1, "faq=3", "silent"))
    assert set(seen) == {"faq", "silent"}
    assert 0.7 < seen["faq"] / 2000 < 0.8


def test_the_same_seed_draws_the_same_callers() -> None:
    assert names(50, 7, "faq", "billing") == names(50, 7, "faq", "billing")
    assert names(50, 7, "faq", "billing") != names(50, 8, "faq", "billing")


def test_nobody_calls_twice_from_the_same_number() -> None:
    drawn = read_callers([], [], None, PERFECT).drawn(random.Random(1))
    numbers = [drawn.next().scenario.script.from_number for _ in range(500)]
    assert len(set(numbers)) == 500


def test_each_run_can_call_from_numbers_of_its_own() -> None:
    callers = read_callers([], [], None, PERFECT)
    runs = [callers.drawn(random.Random(1), first) for first in (9_999_999, 41)]
    numbers = [[drawn.next().scenario.script.from_number for _ in range(2)] for drawn in runs]
    assert numbers == [["+14159999999", "+14150000000"], ["+14150000041", "+14150000042"]]


@pytest.mark.parametrize(
    ("steps", "awaits"),
    [
        ('{ do = "wait_until_assistant_silent" }, { do = "speak", call = "faq" }', True),
        ('{ do = "wait", ms = 5 }, { do = "interrupt_after", ms = 500 }', True),
        ('{ do = "speak", call = "faq" }, { do = "wait_until_assistant_silent" }', False),
        ('{ do = "stay_on_line" }', False),
    ],
)
def test_who_listens_before_saying_anything_awaits_a_greeting(
    steps: str, awaits: bool, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f'name = "x"\nsteps = [{steps}]\n')
    assert read_callers([str(file)], [], None, PERFECT).await_greeting is awaits


def test_without_a_choice_the_packaged_mix_calls() -> None:
    callers = read_callers([], [], None, PERFECT)
    assert callers.asked == tuple((name, 1.0) for name in DEFAULT)
    assert all(kind[0].known is not None for _, kind in callers.kinds)


def test_every_frame_has_room_for_a_mark_and_nothing_is_recorded() -> None:
    ((_, (caller,)),) = read_callers(["billing"], [], None, PERFECT).kinds
    script = caller.scenario.script
    said = [frame for s in script.steps if isinstance(s, Speak) for frame in s.clip.frames]
    assert said
    assert all(isinstance(frame, Prepared) for frame in [*said, *script.background])
    assert not script.record


def test_a_corpus_folder_brings_all_its_calls_once_each_before_any_again(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(PACKAGED, folder)
    callers = read_callers([], [], folder, PERFECT)
    assert callers.asked == (("corpus", 1.0),)
    ((_, kind),) = callers.kinds
    drawn = callers.drawn(random.Random(1))
    first = [drawn.next().scenario.name for _ in kind]
    assert len(set(first)) == len(kind)
    billing = next(c for c in kind if c.scenario.expect.get("intent") == "billing")
    assert billing.known is not None
    assert billing.known.slots["name"] == "Alice Monroe"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the large corpus is not beside the project")
def test_the_hundred_calls_can_all_be_placed() -> None:
    ((_, kind),) = read_callers(["corpus"], [], SHARED, PERFECT).kinds
    assert len(kind) == 100
    assert all(caller.known is not None for caller in kind)


def test_a_recording_of_ones_own_calls_with_a_note_of_what_was_done(tmp_path: Path) -> None:
    wave = (b"\x00\x20" * 8 + b"\x00\xe0" * 8) * 1000  # 1 kHz
    loud = audiocodecs.WavAudio(wave, audiocodecs.Encoding.PCM16, 16000)
    audiocodecs.write_wav(tmp_path / "me.wav", loud)
    callers = read_callers([], [tmp_path / "me.wav"], None, PERFECT)
    assert callers.notes == (f"{tmp_path / 'me.wav'}: resampled from 16000 Hz",)


def test_a_recording_with_noise_in_it_is_noted_with_the_level_of_its_speech(tmp_path: Path) -> None:
    rng = random.Random(1)
    noise = b"".join(rng.randint(-300, 300).to_bytes(2, "little", signed=True) for _ in range(8000))
    speech = (b"\x00\x20" * 8 + b"\x00\xe0" * 8) * 500
    noisy = audiocodecs.WavAudio(noise + speech + noise, audiocodecs.Encoding.PCM16, 8000)
    audiocodecs.write_wav(tmp_path / "me.wav", noisy)
    callers = read_callers([], [tmp_path / "me.wav"], None, PERFECT)
    (note,) = callers.notes
    assert re.fullmatch(r".*me\.wav: noise in it, speech is what is above -3\d dBFS", note)


def test_conditions_of_the_run_go_over_those_of_the_scenario(tmp_path: Path) -> None:
    file = tmp_path / "noisy.toml"
    file.write_text(
        'name = "n"\n[line]\njitter_ms = 10\nloss_percent = 1\n'
        '[[steps]]\ndo = "speak"\ncall = "faq"\n'
    )
    ((_, (caller,)),) = read_callers([str(file)], [], None, LineConditions(loss_percent=5)).kinds
    assert caller.scenario.line == LineConditions(loss_percent=5, jitter_ms=10)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("opera", "no scenario 'opera': there is no such file, and come with: corpus, billing"),
        ("faq=much", "weight is 'much', expected a number"),
        ("faq=0", "weight is 0, expected more than 0"),
        ("none.toml", r"none\.toml"),
    ],
)
def test_callers_that_cannot_be_had_are_named(asked: str, message: str) -> None:
    with pytest.raises(CallersError, match=message):
        read_callers([asked], [], None, PERFECT)


def test_unknown_keys_of_a_scenario_are_named_with_their_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('name = "x"\n[line]\nlag_ms = 3\n[[steps]]\ndo = "hang_up"\n')
    with pytest.raises(CallersError, match=r"own\.toml: line\.lag_ms: Extra inputs"):
        read_callers([str(file)], [], None, PERFECT)


def test_a_script_that_the_model_does_not_have_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('name = "x"\nmodel = "opera"\n[[steps]]\ndo = "hang_up"\n')
    with pytest.raises(CallersError, match="no scenario 'opera'; there are"):
        read_callers([str(file)], [], None, PERFECT)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3 not telephone audio"])
def test_files_that_are_no_recordings_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.wav").write_bytes(content)
    with pytest.raises(CallersError, match=r"own\.wav"):
        read_callers([], [tmp_path / "own.wav"], None, PERFECT)
    with pytest.raises(CallersError, match=r"none\.wav: No such file"):
        read_callers([], [tmp_path / "none.wav"], None, PERFECT)


def test_a_silent_recording_says_nothing_and_is_refused(tmp_path: Path) -> None:
    audiocodecs.write_wav(tmp_path / "quiet.wav", audiocodecs.WavAudio(b"\xff" * 8000))
    with pytest.raises(CallersError, match="nothing in it is loud enough"):
        read_callers([], [tmp_path / "quiet.wav"], None, PERFECT)
