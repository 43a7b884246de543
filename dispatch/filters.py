"""TaskRouter's filter expressions, judged for a Task of which only some attributes are certain.

https://www.twilio.com/docs/taskrouter/expression-syntax
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = str | float | bool | list["Value"]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"[^"]*"|'[^']*')
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<symbol>==|!=|>=|<=|=|>|<|[()\[\],])
      | (?P<word>[A-Za-z_][\w.-]*)
    )""",
    re.VERBOSE,
)
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "HAS", "CONTAINS", "TRUE", "FALSE"})
MAX_EXPRESSION_CHARS = 10_000
MAX_DEPTH = 50


class BadExpressionError(ValueError):
    """Not an expression as TaskRouter documents them."""


class Anything:
    """A value that may be anything: sent, but not known beforehand."""


ANYTHING = Anything()


@dataclass(frozen=True, slots=True)
class Judgement:
    """``matches`` is None where it depends on the call. ``names`` are all attributes asked for;
    ``not_lists`` those of which HAS is asked though they are certain and no list."""

    matches: bool | None
    names: frozenset[str]
    not_lists: frozenset[str] = frozenset()


def judge(expression: str, attributes: Mapping[str, object]) -> Judgement:
    """``attributes`` are all that a Task can have, uncertain ones as ANYTHING.

    A name that is missing there compares as nothing does. Raises BadExpressionError.
    """
    if len(expression) > MAX_EXPRESSION_CHARS:
        raise BadExpressionError("is too long")
    reading = _Reading(_tokens(expression), attributes)
    matches = reading.disjunction()
    reading.end()
    return Judgement(matches, frozenset(reading.names), frozenset(reading.not_lists))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    text = expression.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise BadExpressionError(
                f"has {text[position:].lstrip()[:10]!r}, which is no part of it"
            )
        tokens.append(_Token(match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return tokens


class _Missing:
    """An attribute that no Task has."""


_MISSING = _Missing()


class _Reading:
    """Recursive descent; judges while it reads."""

    def __init__(self, tokens: list[_Token], attributes: Mapping[str, object]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._attributes = attributes
        self.names: set[str] = set()
        self.not_lists: set[str] = set()

    # --- tokens --------------------------------------------------------------------------------

    def _peek(self, word: str) -> bool:
        here = self._tokens[self._at] if self._at < len(self._tokens) else None
        return here is not None and here.kind != "text" and here.text.upper() == word

    def _take(self, word: str) -> bool:
        if not self._peek(word):
            return False
        self._at += 1
        return True

    def _next(self) -> _Token:
        if self._at >= len(self._tokens):
            raise BadExpressionError("ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise BadExpressionError(f"goes on with {self._tokens[self._at].text!r}")

    # --- logic ---------------------------------------------------------------------------------

    def disjunction(self) -> bool | None:
        result = self._conjunction()
        while self._take("OR"):
            other = self._conjunction()
            result = True if True in (result, other) else _both_known(result, other, False)
        return result

    def _conjunction(self) -> bool | None:
        result = self._negation()
        while self._take("AND"):
            other = self._negation()
            result = False if False in (result, other) else _both_known(result, other, True)
        return result

    def _negation(self) -> bool | None:
        if self._take("NOT"):
            inner = self._negation()
            return None if inner is None else not inner
        if not self._peek("("):
            return self._comparison()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise BadExpressionError("has too many brackets")
        self._at += 1
        result = self.disjunction()
        if not self._take(")"):
            raise BadExpressionError("lacks a ')'")
        self._depth -= 1
        return result

    # --- comparisons ---------------------------------------------------------------------------

    def _comparison(self) -> bool | None:
        name = self._tokens[self._at].text if self._at < len(self._tokens) else ""
        left = self._operand()
        negated = self._take("NOT")
        word = self._next().text.upper()
        right = self._operand()
        if word == "HAS" and not isinstance(left, list | Anything | _Missing):
            self.not_lists.add(name)
        result = _compared(word, left, right)
        return None if result is None else result is not negated

    def _operand(self) -> object:
        token = self._next()
        if token.kind == "text":
            return token.text[1:-1]
        if token.kind == "number":
            return float(token.text)
        if token.text == "[":
            return self._list()
        if token.kind != "word":
            raise BadExpressionError(f"has {token.text!r} where a name or a value belongs")
        return self._named(token.text)

    def _named(self, word: str) -> object:
        upper = word.upper()
        if upper in ("TRUE", "FALSE"):
            return upper == "TRUE"
        if upper in _KEYWORDS:
            raise BadExpressionError(f"has {word!r} where a name or a value belongs")
        if "-" in word:
            raise BadExpressionError(f"has a hyphen in {word!r}, which TaskRouter does not read")
        self.names.add(word)
        value: object = self._attributes
        for part in word.split("."):
            if isinstance(value, Anything):
                return value
            value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def _list(self) -> list[object]:
        entries: list[object] = []
        while not self._take("]"):
            entries.append(self._operand())
            if not self._take(",") and not self._peek("]"):
                raise BadExpressionError("has a list without commas")
        return entries


def _both_known(left: bool | None, right: bool | None, value: bool) -> bool | None:
    return None if left is None or right is None else value


def _compared(word: str, left: object, right: object) -> bool | None:
    if isinstance(left, Anything) or isinstance(right, Anything):
        return None
    match word:
        case "==" | "=":
            return _same(left, right)
        case "!=":
            return not _same(left, right)
        case ">" | "<" | ">=" | "<=":
            if isinstance(left, float) and isinstance(right, float):
                return _COMPARE[word](left, right)
            return False
        case "IN":
            return isinstance(right, list) and any(_same(left, one) for one in right)
        case "HAS":
            return isinstance(left, list) and any(_same(right, one) for one in left)
        case "CONTAINS":
            if isinstance(left, list):
                return any(_same(right, one) for one in left)
            return isinstance(left, str) and isinstance(right, str) and right in left
        case _:
            raise BadExpressionError(f"has {word!r} where a comparison belongs")


def _same(left: object, right: object) -> bool:
    if isinstance(left, _Missing) or isinstance(right, _Missing):
        return False
    return type(left) is type(right) and left == right
