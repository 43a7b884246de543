"""Durations and rates as people write them on the command line: callbacks of click options."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import click

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/(s|m))?")
_PER_SECOND = {None: 1.0, "s": 1.0, "m": 1 / 60}
FASTEST_PER_S = 1000

Reader: TypeAlias = Callable[[click.Context, click.Parameter, str], float]


def duration(least_s: float, most_s: float) -> Reader:
    """Seconds, from ``90s``, ``2m``, ``1h`` or plain seconds; between two bounds."""

    def read(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
        match = _DURATION.fullmatch(text)
        if match is None:
            raise click.BadParameter(f"{text!r}, expected a time such as 90s, 2m or 1h")
        seconds = float(match[1]) * _SECONDS[match[2]]
        if not least_s <= seconds <= most_s:
            raise click.BadParameter(f"{text!r}, expected {least_s:g} s to {most_s:g} s")
        return seconds

    return read


def rate(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    """So many a second, from ``10/s``, ``30/m`` or a plain number."""
    match = _RATE.fullmatch(text)
    per_s = 0.0 if match is None else float(match[1]) * _PER_SECOND[match[2]]
    if not 0 < per_s <= FASTEST_PER_S:
        raise click.BadParameter(
            f"{text!r}, expected a rate up to {FASTEST_PER_S}/s, such as 10/s or 30/m"
        )
    return per_s
