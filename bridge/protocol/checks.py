"""Checks of one setting: ValueError that names it, what came and what was expected."""

from __future__ import annotations


def in_range(name: str, value: float, low: float, high: float) -> None:
    """A number from ``low`` to ``high``; not a boolean, not NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise refused(name, value, f"{low} to {high}")


def whole(name: str, value: object) -> None:
    """An integer."""
    if type(value) is not int:
        raise refused(name, value, "a whole number")


def at_least(name: str, value: int, low: int) -> None:
    """An integer of ``low`` or more."""
    whole(name, value)
    if value < low:
        raise refused(name, value, f"{low} or more")


def boolean(name: str, value: object) -> None:
    """A boolean."""
    if type(value) is not bool:
        raise refused(name, value, "true or false")


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """One of the allowed words."""
    if value not in allowed:
        raise refused(name, value, f"one of {', '.join(allowed)}")


def filled(name: str, value: object) -> None:
    """A string with something in it."""
    if not isinstance(value, str) or not value.strip():
        raise refused(name, value, "a name")


def refused(name: str, value: object, expected: str) -> ValueError:
    """The error that names the setting, what came and what was expected."""
    return ValueError(f"{name} is {value!r}, expected {expected}")
