"""Reading environment variables: every fault is kept, so that an operator sees all at once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import SecretStr

_Option = TypeVar("_Option", bound=str)
_SHOWN_CHARS = 200


class Environment:
    """Typed reads of ``values``; a bad value becomes a fault and its default.

    A variable that is blank counts as not set, except to ``verbatim``.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.faults: list[str] = []

    def fault(self, text: str) -> None:
        self.faults.append(text)

    def has(self, name: str) -> bool:
        return bool(self._values.get(name, "").strip())

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def verbatim(self, name: str, default: str) -> str:
        """Blank is an answer here: only a variable that is not there gives the default."""
        return self._values.get(name, default).strip()

    def secret(self, name: str) -> SecretStr | None:
        """Never shown, also not in a fault."""
        value = self.text(name)
        if not value:
            return None
        if not value.isascii() or not value.isprintable() or " " in value:
            self.fault(f"{name} holds a space or a character that no key has")
            return None
        return SecretStr(value)

    def secrets(self, name: str) -> tuple[SecretStr, ...]:
        """Several, with commas between them."""
        whole = self.secret(name)
        if whole is None:
            return ()
        parts = whole.get_secret_value().split(",")
        if not all(parts):
            self.fault(f"{name} has an empty part, expected values with commas between them")
        return tuple(SecretStr(part) for part in parts if part)

    def matching(self, name: str, pattern: str, expected: str) -> str | None:
        """A value of a fixed shape, such as a SID."""
        value = self.text(name)
        if not value:
            return None
        if not re.fullmatch(pattern, value, re.ASCII):
            self.fault(f"{name} is {shown(value)}, expected {expected}")
            return None
        return value

    def choice(self, name: str, options: Sequence[_Option], default: _Option) -> _Option:
        value = self.text(name)
        if not value:
            return default
        for option in options:
            if option == value.lower():
                return option
        self.fault(f"{name} is {shown(value)}, expected one of {', '.join(options)}")
        return default

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if re.fullmatch(r"[+-]?[0-9]{1,12}", value, re.ASCII) and low <= int(value) <= high:
            return int(value)
        self.fault(f"{name} is {shown(value)}, expected a whole number from {low} to {high}")
        return default

    def number(self, name: str, default: float, low: float, high: float) -> float:
        value = self.text(name)
        if not value:
            return default
        try:
            parsed = float(value)
        except ValueError:
            parsed = math.nan
        if low <= parsed <= high:
            return parsed
        self.fault(f"{name} is {shown(value)}, expected a number from {low:g} to {high:g}")
        return default

    def only_one_of(self, first: str, second: str) -> None:
        if self.has(first) and self.has(second):
            self.fault(f"{first} and {second} are both set, expected at most one of them")


def shown(value: str) -> str:
    """A value as it may stand in a fault: quoted, on one line, cut."""
    return repr(value if len(value) <= _SHOWN_CHARS else value[: _SHOWN_CHARS - 1] + "…")
