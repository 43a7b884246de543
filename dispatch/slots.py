"""What an intent captures: one slot each for a name, a number, a date, a choice."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import phonenumbers
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from dispatch.names import ADDED_BY_TWILIO, RESERVED_ATTRIBUTES
from dispatch.routes import Strict
from dispatch.text import clean, cut

SlotKind: TypeAlias = Literal["person_name", "phone", "date", "text", "number", "choice"]
SlotValue: TypeAlias = str | int | float


def _free(name: str) -> str:
    if name in ADDED_BY_TWILIO or name in RESERVED_ATTRIBUTES:
        raise ValueError(f"{name!r} is an attribute that is always sent; use another name")
    return name


SlotName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=40),
    AfterValidator(_free),
]

CALLER_ID = "caller_id"
"""What the model reports for "the number I am calling from"."""

# These two are what agents and callbacks rely on, under these names.
_KIND_OF_NAME: Mapping[str, SlotKind] = {"name": "person_name", "callback": "phone"}
_MAX_TEXT = 300
_MAX_NAME = 80
_MAX_NUMBER = 1e12
_DECIMALS = 6
LONGEST: Mapping[SlotKind, int] = {
    "person_name": _MAX_NAME,
    "phone": 16,
    "date": 10,
    "text": _MAX_TEXT,
    "number": 20,
    "choice": 60,
}
"""Characters that a captured value of each kind has at most."""
# What models write when they were told nothing; such a slot is empty, not captured.
_FILLERS = frozenset(
    {"unknown", "n/a", "none", "null", "not provided", "not given", "unspecified", "caller"}
)
_ISO_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ].*)?")


class Slot(Strict):
    """A value to capture. ``ask`` is how the assistant may ask for it."""

    name: SlotName
    kind: SlotKind = "text"
    required: bool = False
    ask: str = Field(default="", max_length=300)
    choices: tuple[Annotated[str, StringConstraints(min_length=1, max_length=60)], ...] = ()
    when: Literal["any", "future", "past"] = Field(
        default="any", description="For dates; today is both."
    )
    min: float | None = Field(default=None, description="For numbers.")
    max: float | None = Field(default=None, description="For numbers.")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Slot:
        if (self.kind == "choice") != bool(self.choices):
            raise ValueError("'choices' belongs to kind = \"choice\", and is needed there")
        expected = _KIND_OF_NAME.get(self.name, self.kind)
        if self.kind != expected:
            raise ValueError(f'a slot called {self.name!r} must have kind = "{expected}"')
        if self.kind != "date" and self.when != "any":
            raise ValueError("'when' belongs to kind = \"date\"")
        if self.kind != "number" and (self.min is not None or self.max is not None):
            raise ValueError("'min' and 'max' belong to kind = \"number\"")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("'min' must not exceed 'max'")
        if len({choice.casefold() for choice in self.choices}) < len(self.choices):
            raise ValueError("'choices' holds the same choice twice")
        return self


class BadSlotError(ValueError):
    """A value that the slot does not take. The text is for the model: what to ask."""


class EmptySlotError(ValueError):
    """Nothing was captured."""


def region_of(called_number: str, default: str) -> str:
    """The ISO country in whose notation callers of ``called_number`` say their numbers."""
    try:
        number = phonenumbers.parse(called_number, None)
    except phonenumbers.NumberParseException:
        return default
    return phonenumbers.region_code_for_number(number) or default


def read_slot(
    slot: Slot, value: object, *, region: str, today: dt.date, lenient: bool = False
) -> SlotValue:
    """``value`` as the slot's kind: E.164, ISO date, number, one of the choices, clean text.

    Raises EmptySlotError where nothing was said and BadSlotError where it cannot be used.
    ``lenient`` takes a telephone number of the right length even where the numbering plan does not
    know it.
    """
    if value is None:
        raise EmptySlotError
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadSlotError(f"{slot.name} must be a plain value, not {type(value).__name__}")
    text = clean(str(value)[: 4 * _MAX_TEXT])
    if not text or (slot.kind != "choice" and text.casefold() in _FILLERS):
        raise EmptySlotError
    match slot.kind:
        case "person_name":
            return _name(slot, text)
        case "phone":
            return _phone(slot, text, region, lenient)
        case "date":
            return _date(slot, text, today)
        case "number":
            return _number(slot, text)
        case "choice":
            return _choice(slot, text)
        case "text":
            return cut(text, _MAX_TEXT)


def _name(slot: Slot, text: str) -> str:
    if not any(char.isalpha() for char in text):
        raise BadSlotError(f"{slot.name} is not a name; ask how it is spelled")
    return cut(text, _MAX_NAME)


def _phone(slot: Slot, text: str, region: str, lenient: bool) -> str:
    unusable = BadSlotError(
        f"{slot.name} is not a complete telephone number; ask for it again digit by digit"
    )
    try:
        number = phonenumbers.parse(text[:60], region)
    except phonenumbers.NumberParseException:
        raise unusable from None
    fits = phonenumbers.is_possible_number if lenient else phonenumbers.is_valid_number
    if not fits(number):
        raise unusable
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _date(slot: Slot, text: str, today: dt.date) -> str:
    found = _ISO_DATE.fullmatch(text)
    try:
        date = dt.date.fromisoformat(found.group(1) if found else "")
    except ValueError:
        raise BadSlotError(f"{slot.name} must be a date as YYYY-MM-DD; ask for the day") from None
    if abs(date.year - today.year) > 120:
        raise BadSlotError(f"{slot.name} is an unlikely year; ask for the date again")
    if slot.when == "future" and date < today:
        raise BadSlotError(f"{slot.name} lies in the past (today is {today}); ask for a coming day")
    if slot.when == "past" and date > today:
        raise BadSlotError(f"{slot.name} lies in the future (today is {today}); ask again")
    return date.isoformat()


def _number(slot: Slot, text: str) -> int | float:
    try:
        number = float(text.replace(",", "")) if len(text) <= 40 else math.nan
    except ValueError:
        number = math.nan
    if not abs(number) <= _MAX_NUMBER:  # also false for NaN
        raise BadSlotError(f"{slot.name} must be a number; ask for it in figures")
    if slot.min is not None and number < slot.min:
        raise BadSlotError(f"{slot.name} must be at least {slot.min:g}; ask again")
    if slot.max is not None and number > slot.max:
        raise BadSlotError(f"{slot.name} must be at most {slot.max:g}; ask again")
    return int(number) if number.is_integer() else round(number, _DECIMALS)


def _choice(slot: Slot, text: str) -> str:
    for choice in slot.choices:
        if choice.casefold() == text.casefold():
            return choice
    if text.casefold() in _FILLERS:
        raise EmptySlotError
    raise BadSlotError(f"{slot.name} must be one of: {', '.join(slot.choices)}; ask which")
