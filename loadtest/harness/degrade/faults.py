"""What is done to a connection, and how it is asked for on the command line.

delay=50ms                 every message is 50 ms late, both ways
delay.uplink=50ms          only caller -> bridge; delay.downlink: only bridge -> caller
drop=0.001                 this share of the media messages is lost, drawn by the seed
drop=1/1000                every thousandth media message of a connection is lost, counted
drop.uplink=..., drop.downlink=...
forget-marks               no mark of the bridge arrives
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

MOST_DELAY_MS = 10_000
_EXPECTED = (
    "expected delay=50ms, drop=0.001, drop=1/1000 (each also with .uplink or .downlink, as in"
    " delay.uplink=50ms), or forget-marks"
)
_DELAY = re.compile(r"(\d{1,6})(ms|s)")
_ONE_IN = re.compile(r"1/(\d{1,9})")


class DegradeError(ValueError):
    """A ``--degrade`` that cannot be understood; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Share:
    """How much is lost: every ``one_in``-th message, or each with ``probability``."""

    probability: float = 0.0
    one_in: int = 0

    def __bool__(self) -> bool:
        return bool(self.probability or self.one_in)

    def __str__(self) -> str:
        return f"1/{self.one_in}" if self.one_in else f"{self.probability:g}"


@dataclass(frozen=True, slots=True)
class Degradation:
    """Everything that is done, each direction by itself. Uplink is caller to bridge."""

    uplink_delay_ms: int = 0
    downlink_delay_ms: int = 0
    uplink_drop: Share = Share()
    downlink_drop: Share = Share()
    forget_marks: bool = False

    def __bool__(self) -> bool:
        return self != Degradation()

    def to_json(self) -> dict[str, object]:
        """Only what is done, by the names of the command line."""
        asked: dict[str, object] = {
            "delay.uplink": f"{self.uplink_delay_ms}ms" if self.uplink_delay_ms else None,
            "delay.downlink": f"{self.downlink_delay_ms}ms" if self.downlink_delay_ms else None,
            "drop.uplink": str(self.uplink_drop) if self.uplink_drop else None,
            "drop.downlink": str(self.downlink_drop) if self.downlink_drop else None,
            "forget-marks": self.forget_marks or None,
        }
        return {name: value for name, value in asked.items() if value is not None}


def parse_degradation(texts: Iterable[str]) -> Degradation:
    """All ``--degrade`` of a command line together; DegradeError for one that is none."""
    made = Degradation()
    for text in texts:
        made = _with(made, text.strip())
    return made


def _with(made: Degradation, text: str) -> Degradation:
    if text == "forget-marks":
        return replace(made, forget_marks=True)
    name, equals, value = text.partition("=")
    kind, dot, direction = name.partition(".")
    if not equals or kind not in ("delay", "drop"):
        raise DegradeError(f"--degrade {text!r}: {_EXPECTED}")
    if dot and direction not in ("uplink", "downlink"):
        raise DegradeError(f"--degrade {text!r}: direction is {direction!r}; {_EXPECTED}")
    both = (direction,) if dot else ("uplink", "downlink")
    if kind == "delay":
        delay_ms = _delay_ms(text, value)
        changes: dict[str, Any] = {f"{one}_delay_ms": delay_ms for one in both}
    else:
        share = _share(text, value)
        changes = {f"{one}_drop": share for one in both}
    return replace(made, **changes)


def _delay_ms(text: str, value: str) -> int:
    found = _DELAY.fullmatch(value)
    if found is None:
        raise DegradeError(f"--degrade {text!r}: delay is {value!r}, expected one like 50ms or 1s")
    delay_ms = int(found[1]) * (1000 if found[2] == "s" else 1)
    if not 0 < delay_ms <= MOST_DELAY_MS:
        raise DegradeError(f"--degrade {text!r}: delay is {value}, expected 1ms to 10s")
    return delay_ms


def _share(text: str, value: str) -> Share:
    counted = _ONE_IN.fullmatch(value)
    if counted is not None and int(counted[1]) > 0:
        return Share(one_in=int(counted[1]))
    try:
        probability = float(value)
    except ValueError:
        probability = -1.0
    if not 0 < probability <= 1:
        raise DegradeError(
            f"--degrade {text!r}: drop is {value!r}, expected a share such as 0.001, or 1/1000"
        )
    return Share(probability=probability)
