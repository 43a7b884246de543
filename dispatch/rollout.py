"""Who gets the AI at all, by the tenant's file: the starting share, who is always in or out, when;
what a guard holds the AI side to; how many calls are taken at once.

Shares are percent in the file, 0 to 100 in steps of 0.1, and whole tenths of a percent (0 to 1000)
everywhere else.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from dispatch.routes import E164, Name, Strict

TENTHS = 1000
"""Tenths of a percent in the whole."""
MINUTES_OF_DAY = 24 * 60
_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?", re.ASCII)


def tenths(percent: str | float) -> int:
    """``5``, ``"12.5"`` or ``"12.5 %"`` in tenths of a percent. ValueError says what is wrong."""
    text = str(percent).strip().removesuffix("%").strip()
    try:
        value = Decimal(text) * 10
    except InvalidOperation:
        value = Decimal(-1)
    if not _PERCENT.fullmatch(text) or value > TENTHS or value != value.to_integral_value():
        raise ValueError(f"is {percent!r}, expected a share from 0 to 100 in steps of 0.1")
    return int(value)


def percent(share: int) -> str:
    """Tenths of a percent as an operator writes them: ``5``, ``12.5``."""
    return f"{share / 10:g}"


def _share(value: float) -> float:
    tenths(value)
    return value


def _span(text: str) -> str:
    found = _SPAN.fullmatch(text)
    if found is None or text[6:] > "24:00" or text[:5] == text[6:]:
        raise ValueError(f"is {text!r}, expected a span such as '07:00-18:00'")
    return text


Share = Annotated[
    float, AfterValidator(_share), Field(json_schema_extra={"minimum": 0, "maximum": 100})
]
Span = Annotated[
    str, AfterValidator(_span), Field(json_schema_extra={"pattern": f"^{_SPAN.pattern}$"})
]
Percent = Annotated[float, Field(ge=0, le=100)]


class Hours(Strict):
    """When the AI takes calls, in the business's time zone; a day that is left out is closed.

    A span that ends before it begins reaches into the next day. A date in ``closed_on`` is closed
    from its midnight to the next, whatever reaches into it; what reaches out of it is as usual.
    """

    mon: tuple[Span, ...] = ()
    tue: tuple[Span, ...] = ()
    wed: tuple[Span, ...] = ()
    thu: tuple[Span, ...] = ()
    fri: tuple[Span, ...] = ()
    sat: tuple[Span, ...] = ()
    sun: tuple[Span, ...] = ()
    closed_on: tuple[dt.date, ...] = Field(
        default=(), description="Holidays: closed from midnight to midnight."
    )

    def are_open(self, local: dt.datetime) -> bool:
        """``local`` is wall-clock time where the business is."""
        minute = local.hour * 60 + local.minute
        today, yesterday = local.date(), local.date() - dt.timedelta(days=1)
        if today in self.closed_on:
            return False
        return any(begin <= minute < end for begin, end in self._spans(today)) or any(
            end > MINUTES_OF_DAY and minute < end - MINUTES_OF_DAY
            for _, end in self._spans(yesterday)
        )

    def _spans(self, day: dt.date) -> list[tuple[int, int]]:
        """Minutes since that day's midnight; past ``MINUTES_OF_DAY`` it is the next day."""
        week = (self.mon, self.tue, self.wed, self.thu, self.fri, self.sat, self.sun)
        return [_minutes(span) for span in week[day.weekday()]]


def _minutes(span: str) -> tuple[int, int]:
    begin = int(span[:2]) * 60 + int(span[3:5])
    end = int(span[6:8]) * 60 + int(span[9:])
    return begin, end if end > begin else end + MINUTES_OF_DAY


class Rollout(Strict):
    """Which callers get the AI until somebody says otherwise with ``triage-bridge rollout``."""

    share: Share = Field(default=100, description="Percent of callers, in steps of 0.1.")
    numbers: dict[E164, Share] = Field(
        default_factory=dict, description="Called numbers with a share of their own."
    )
    stages: tuple[Share, ...] = Field(
        default=(5, 25, 60, 100), min_length=1, max_length=20, description="In rising order."
    )
    allow: tuple[E164, ...] = Field(
        default=(), description="Callers who get the AI at any share: your own telephones."
    )
    block: tuple[E164, ...] = Field(default=(), description="Callers who never get the AI.")
    hours: Hours | None = Field(default=None, description="Left out: at any time.")

    @model_validator(mode="after")
    def _consistent(self) -> Rollout:
        if list(self.stages) != sorted(set(self.stages)) or 0 in self.stages:
            raise ValueError("'stages' must rise and begin above 0")
        both = sorted(set(self.allow) & set(self.block))
        if both:
            raise ValueError(f"{both[0]!r} is in 'allow' and in 'block'")
        return self


class Guard(Strict):
    """What the AI side is held to; on a breach the share steps back. Percent are of its calls."""

    enabled: bool = True
    window_s: int = Field(default=300, ge=30, le=3600)
    min_calls: int = Field(default=20, ge=1, le=10_000, description="Fewer are not judged.")
    min_turns: int = Field(default=40, ge=1, le=100_000, description="Fewer are not judged.")
    first_model_audio_p95_ms: int = Field(default=800, ge=50, le=60_000)
    first_audio_p95_ms: int = Field(default=1400, ge=50, le=60_000)
    dispatch_failures: Percent = 2
    fallbacks: Percent = 5
    early_hangups: Percent = Field(default=20, description="Callers gone within 20 seconds.")
    severe: float = Field(
        default=3, gt=1, le=100, description="So many times a limit: no more AI, at once."
    )
    page: Name | None = Field(
        default=None, description="A page route: whom to tell when the guard steps back."
    )


class Admission(Strict):
    """How much is taken at once, in each process; the calls beyond go to today's flow."""

    calls: int = Field(default=1000, ge=1, le=100_000, description="At the same time.")
    calls_per_caller: int = Field(default=2, ge=1, le=1000, description="At the same time.")
    calls_per_caller_and_hour: int = Field(default=20, ge=1, le=10_000)
