"""How ``--degrade`` is read."""

from __future__ import annotations

import pytest

from loadtest.harness.degrade import Degradation, DegradeError, Share, parse_degradation

READ = {
    "nothing": ([], Degradation()),
    "delay, both ways": (["delay=50ms"], Degradation(50, 50)),
    "delay in seconds": (["delay=2s"], Degradation(2000, 2000)),
    "delay of one direction": (["delay.uplink=50ms"], Degradation(uplink_delay_ms=50)),
    "delays that differ": (["delay=50ms", "delay.downlink=10ms"], Degradation(50, 10)),
    "share": (["drop=0.001"], Degradation(0, 0, Share(0.001), Share(0.001))),
    "one in so many": (["drop.uplink=1/1000"], Degradation(uplink_drop=Share(one_in=1000))),
    "marks": (["forget-marks"], Degradation(forget_marks=True)),
    "all": (
        ["delay=1ms", "drop.downlink=1", "forget-marks"],
        Degradation(1, 1, Share(), Share(1.0), forget_marks=True),
    ),
}


@pytest.mark.parametrize(("texts", "expected"), READ.values(), ids=READ.keys())
def test_degradations_are_read(texts: list[str], expected: Degradation) -> None:
    assert parse_degradation(texts) == expected


FAULTY = {
    "unknown": ("jitter=5ms", "'jitter=5ms': expected delay=50ms, drop=0.001"),
    "no value": ("delay", "'delay': expected delay=50ms"),
    "no unit": ("delay=50", "delay is '50', expected one like 50ms or 1s"),
    "too long": ("delay=11s", "delay is 11s, expected 1ms to 10s"),
    "no delay": ("delay=0ms", "delay is 0ms, expected 1ms to 10s"),
    "direction": ("delay.up=5ms", "direction is 'up'"),
    "more than all": ("drop=1.5", "drop is '1.5', expected a share such as 0.001, or 1/1000"),
    "none": ("drop=0", "drop is '0', expected a share"),
    "not a number": ("drop=nan", "drop is 'nan', expected a share"),
    "one in none": ("drop=1/0", "drop is '1/0', expected a share"),
    "marks with a value": ("forget-marks=1", "expected delay=50ms"),
}


@pytest.mark.parametrize(("text", "complaint"), FAULTY.values(), ids=FAULTY.keys())
def test_what_cannot_be_read_is_refused_with_what_was_expected(text: str, complaint: str) -> None:
    with pytest.raises(DegradeError) as refused:
        parse_degradation([text])
    assert complaint in str(refused.value)


def test_the_report_names_only_what_is_done() -> None:
    asked = parse_degradation(["delay.uplink=50ms", "drop=1/20", "forget-marks"])
    assert asked.to_json() == {
        "delay.uplink": "50ms",
        "drop.uplink": "1/20",
        "drop.downlink": "1/20",
        "forget-marks": True,
    }
