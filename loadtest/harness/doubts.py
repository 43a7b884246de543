"""What makes a comparison of results doubtful: runs cut short, other loads, other machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loadtest.harness.report.verdict import flat
from loadtest.harness.result import Result

_OF_NO_MATTER = ("seed", "out", "html", "json")
"""Names in a plan that may differ between runs of the same load."""


def doubts(a: Sequence[Result], b: Sequence[Result]) -> Iterable[str]:
    """A sentence for each."""
    for side, results in (("A", a), ("B", b)):
        yield from _oddities(side, results)
    yield from _differing("plan", [result.plan for result in (*a, *b)])
    yield from _differing("machine", [_lasting(result.machine) for result in (*a, *b)])


def _oddities(side: str, results: Sequence[Result]) -> Iterable[str]:
    for number, result in enumerate(results, start=1):
        if result.partial:
            yield f"{side}{number} is partial: it was interrupted"
        if not result.valid:
            yield f"{side}{number} is not valid: {'; '.join(result.invalid_because)}"


def _lasting(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What a machine is, without what was measured on it."""
    return {name: value for name, value in machine.items() if isinstance(value, str | int)}


def _differing(what: str, tables: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    texts = [flat(dict(table)) for table in tables]
    for name in dict.fromkeys(name for text in texts for name in text):
        values = list(dict.fromkeys(text.get(name, "unset") for text in texts))
        if len(values) > 1 and name not in _OF_NO_MATTER:
            yield f"the {what}s differ: {name} is {' / '.join(values)}"
