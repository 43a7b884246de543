"""How a command of the harness ends."""

from __future__ import annotations

from loadtest.harness.result import Result

PASSED, GATE_FAILED, WRONG_USE, INVALID, INTERRUPTED = 0, 1, 2, 3, 130


def status_of(result: Result) -> int:
    """A run that was cut short is neither passed nor failed; nor is one that measured itself."""
    if result.partial:
        return INTERRUPTED
    if not result.valid:
        return INVALID
    return PASSED if result.gates_passed else GATE_FAILED
