"""What calls cost."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.call.usage import UsageMeter
from bridge.errors import ConfigurationError
from bridge.protocol.realtime import Usage
from bridge.store.prices import Prices, read_prices

DAY = dt.date(2026, 11, 21)
FILE = """
[[prices]]
from = 2026-01-01
[prices.realtime.m]
audio_in = 32
audio_cached = 0.4
audio_out = 64
text_in = 4
text_cached = 0.4
text_out = 24
[prices.transcription]
t = 0.006
[prices.twilio]
stream_minute = 0.004
voice_minute = 0.008

[[prices]]
from = 2026-06-01
[prices.realtime.m]
audio_in = 16
audio_cached = 0.2
audio_out = 32
text_in = 2
text_cached = 0.2
text_out = 12
[prices.twilio]
stream_minute = 0.004
"""


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    return read_prices(path)


def used() -> UsageMeter:
    return UsageMeter(
        text_in=10_000,
        audio_in=3_000,
        cached_text_in=9_000,
        cached_audio_in=1_000,
        text_out=500,
        audio_out=2_000,
        responses=4,
        transcribed_seconds=30,
    )


def test_cached_tokens_are_a_part_of_the_input_at_their_own_price(prices: Prices) -> None:
    cost = prices.cost(
        used(), model="m", transcription_model="t", stream_s=61, day=dt.date(2026, 5, 31)
    )
    tokens = 1_000 * 4 + 9_000 * 0.4 + 2_000 * 32 + 1_000 * 0.4 + 500 * 24 + 2_000 * 64
    assert (cost.model, cost.transcription, cost.twilio, cost.total) == pytest.approx(
        (tokens / 1e6, 0.003, 0.024, tokens / 1e6 + 0.003 + 0.024)
    )
    assert cost.prices_from == dt.date(2026, 1, 1)


def test_a_call_costs_what_held_on_its_day(prices: Prices) -> None:
    days = [dt.date(2026, 1, 1), dt.date(2026, 5, 31), dt.date(2026, 6, 1), DAY]
    lists = [prices.on(day) for day in days]
    assert [found and found.valid_from.month for found in lists] == [1, 1, 6, 6]


@pytest.mark.parametrize(
    ("changes", "unknown"),
    [
        ({"model": "gpt-next"}, "model"),
        ({"transcription_model": "t"}, "transcription"),
        ({"day": dt.date(2025, 12, 31)}, "model"),
    ],
)
def test_what_has_no_price_is_unknown_and_so_is_the_sum(
    changes: dict[str, object], unknown: str, prices: Prices
) -> None:
    arguments = {"model": "m", "transcription_model": None, "stream_s": 60.0, "day": DAY}
    cost = prices.cost(used(), **(arguments | changes))  # type: ignore[arg-type]
    assert getattr(cost, unknown) is None
    assert cost.total is None


def test_what_was_not_transcribed_costs_nothing(prices: Prices) -> None:
    meter = used()
    meter.transcribed_seconds = 0
    cost = prices.cost(meter, model="m", transcription_model="t", stream_s=60, day=DAY)
    assert cost.transcription == 0


COUNTS = st.integers(0, 100_000)


@given(usages=st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), max_size=5))
def test_a_call_costs_the_sum_of_its_responses(usages: list[tuple[int, int, int, int]]) -> None:
    prices = read_prices()

    def cost(*parts: tuple[int, int, int, int]) -> float:
        meter = UsageMeter()
        for text_in, audio_in, text_out, audio_out in parts:
            meter.add(Usage(text_in, audio_in, text_in // 2, audio_in // 3, text_out, audio_out))
        found = prices.cost(
            meter, model="gpt-realtime-2.1", transcription_model=None, stream_s=0, day=DAY
        )
        assert found.total is not None
        return found.total

    assert cost(*usages) == pytest.approx(sum(cost(usage) for usage in usages))


def test_a_transcript_of_unknown_length_has_no_known_price(prices: Prices) -> None:
    meter = used()
    meter.add_transcript(None)
    cost = prices.cost(meter, model="m", transcription_model="t", stream_s=60, day=DAY)
    assert (cost.transcription, cost.total) == (None, None)
    assert cost.model is not None


def test_the_shipped_prices_give_the_published_price_of_a_minute() -> None:
    """Caller audio is 600 tokens a minute, assistant audio 1,200."""
    prices = read_prices()

    def minute(**tokens: int) -> float | None:
        meter = UsageMeter(**tokens)
        return prices.cost(
            meter, model="gpt-realtime-2.1", transcription_model=None, stream_s=0, day=DAY
        ).model

    assert minute(audio_in=600) == pytest.approx(0.0192)
    assert minute(audio_out=1200) == pytest.approx(0.0768)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "cannot be read: No such file"),
        ("prices = ", "is not TOML"),
        ("", "prices: Field required"),
        (FILE.replace("audio_out = 64", "audio_out = -1"), "prices.0.realtime.m.audio_out: "),
        (FILE.replace("stream_minute", "stream_hour"), "prices.0.twilio.stream_hour: Extra"),
    ],
    ids=["missing", "broken", "empty", "negative", "unknown key"],
)
def test_a_faulty_price_file_is_refused_with_the_field(
    text: str | None, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "prices.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=fault):
        read_prices(path)
