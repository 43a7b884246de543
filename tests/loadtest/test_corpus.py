"""Recorded calls: the packaged handful, and the full corpus where it is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import audiocodecs
from loadtest.corpus import Corpus, CorpusError

FULL = Path(__file__).parents[2].parent / "shared" / "corpus"
EDGE_FRAMES = 20


def test_the_packaged_calls_cover_the_intents() -> None:
    intents = [call.label["intent"] for call in Corpus().calls]
    assert intents == ["emergency", "schedule", "billing", "faq", "human", "other"]


def test_every_packaged_turn_is_speech_with_quiet_edges() -> None:
    for call in Corpus().calls:
        assert call.snr_db is None
        for number in range(1, len(call.turns) + 1):
            clip = call.clip(number)
            assert clip.speech is not None
            first, last = clip.speech
            assert first < EDGE_FRAMES
            assert len(clip.frames) - last <= EDGE_FRAMES


def test_a_call_is_found_by_intent_and_by_sid() -> None:
    corpus = Corpus()
    billing = corpus.call("billing")
    assert billing.label["intent"] == "billing"
    assert corpus.call(billing.call_sid) == billing
    with pytest.raises(CorpusError, match="no call 'weather', neither by SID nor by intent"):
        corpus.call("weather")


def test_a_turn_that_is_not_there_is_named() -> None:
    with pytest.raises(CorpusError, match="has 1 turns, there is no 2"):
        Corpus().call("faq").clip(2)


def test_the_assistants_lines_are_as_long_as_listed() -> None:
    lines = Corpus().assistant_lines()
    assert {"greeting", "confirm_emergency", "long_answer"} <= lines.keys()
    for line in lines.values():
        audio = audiocodecs.read_wav(line.path)
        assert (audio.rate_hz, audio.channels) == (8000, 1)
        assert abs(audio.duration_ms - line.duration_ms) <= 20


def test_a_folder_that_is_no_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"calls\.jsonl cannot be read"):
        Corpus(tmp_path)
    (tmp_path / "calls.jsonl").write_text('{"call_sid": "CA1"}\n')
    with pytest.raises(CorpusError, match=r"calls\.jsonl:1: KeyError: 'turns'"):
        Corpus(tmp_path)


@pytest.mark.skipif(not (FULL / "calls.jsonl").exists(), reason="the full corpus is not here")
def test_the_full_corpus_is_read_the_same_way() -> None:
    corpus = Corpus(FULL)
    assert len(corpus.calls) == 100
    packaged = Corpus().call("billing")
    same = corpus.call(packaged.call_sid)
    assert same.clip(1).frames == packaged.clip(1).frames
