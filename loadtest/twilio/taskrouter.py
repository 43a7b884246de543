"""Tasks of one workspace, made by ``<Enqueue>`` or by REST, and kept for inspection."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from loadtest.twilio.sids import Sids

MAX_ATTRIBUTES_CHARACTERS = 4096
DEFAULT_TIMEOUT_S = 86400
MAX_TASKS = 10_000
_CONDITION = re.compile(r"""\s*([A-Za-z_][\w.]*)\s*==\s*(?:"([^"]*)"|'([^']*)'|(-?\d+))\s*""")


class BadAttributesError(ValueError):
    """Task attributes that TaskRouter does not take."""


@dataclass(slots=True)
class Task:
    """``by_rest`` tells a call-back task from one that holds a live call."""

    sid: str
    workflow_sid: str
    attributes: Mapping[str, object]
    priority: int
    timeout_s: int
    created: datetime
    by_rest: bool
    channel: str = "voice"
    status: str = "pending"
    reason: str = ""


def parse_attributes(text: str) -> dict[str, object]:
    """The JSON object of task attributes; BadAttributesError for all else and for too much."""
    if len(text) > MAX_ATTRIBUTES_CHARACTERS:
        raise BadAttributesError(
            f"attributes are {len(text)} characters long, expected {MAX_ATTRIBUTES_CHARACTERS}"
        )
    try:
        attributes = json.loads(text)
    except ValueError as error:
        raise BadAttributesError(f"attributes are not JSON: {error}") from None
    if not isinstance(attributes, dict):
        kind = type(attributes).__name__
        raise BadAttributesError(f"attributes are a JSON {kind}, expected an object")
    return attributes


class TaskRouter:
    """The latest ``MAX_TASKS`` tasks of one workspace, oldest first."""

    def __init__(self, sids: Sids) -> None:
        self._sids = sids
        self.tasks: deque[Task] = deque(maxlen=MAX_TASKS)

    def create(
        self,
        workflow_sid: str,
        attributes: Mapping[str, object],
        *,
        priority: int = 0,
        timeout_s: int = DEFAULT_TIMEOUT_S,
        by_rest: bool = False,
        channel: str = "voice",
    ) -> Task:
        task = Task(
            self._sids.new("WT"),
            workflow_sid,
            dict(attributes),
            priority,
            timeout_s,
            datetime.now(UTC),
            by_rest,
            channel,
        )
        self.tasks.append(task)
        return task

    def find(self, expression: str) -> list[Task]:
        """Tasks for which ``key == "value"`` (joined with AND) holds; else ValueError."""
        wanted = [_condition(part) for part in re.split(r"\s+AND\s+", expression)]
        return [
            task
            for task in self.tasks
            if all(_look_up(task.attributes, key) == value for key, value in wanted)
        ]


def _condition(text: str) -> tuple[str, str | int]:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(f'EvaluateTaskAttributes is {text!r}, expected key == "value" [AND ...]')
    key, double, single, number = match.groups()
    return key, int(number) if number is not None else double if double is not None else single


def _look_up(attributes: Mapping[str, object], key: str) -> object:
    value: object = attributes
    for part in key.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
