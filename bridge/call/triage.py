"""The desk of a tenant: its intents, its words, its limits, applied to one call."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

import orjson

from bridge.call.desk import Answer, Finish, Lookup, Verdict
from dispatch.checks import (
    ToolFault,
    Tries,
    check_end_call,
    check_escalate,
    check_lookup,
    check_route_call,
)
from dispatch.context import CallContext
from dispatch.decision import acts_on_digit
from dispatch.lookups import LookupTool
from dispatch.outcome import (
    DigitPressed,
    LimitKind,
    LimitReached,
    Outcome,
    PersonRequested,
    Resolved,
    RouteRequested,
    TriggerMatched,
)
from dispatch.phrases import announces_transfer, wants_person
from dispatch.policy import TenantPolicy
from dispatch.slots import SlotValue
from dispatch.text import Spoken, in_language
from dispatch.triggers import TriggerMatcher

ACCEPTED = '{"ok":true}'


class TriageDesk:
    """Judges one call by its tenant's policy. Keeps what was captured in ``context``."""

    def __init__(
        self,
        policy: TenantPolicy,
        matcher: TriggerMatcher,
        context: CallContext,
        today: dt.date,
    ) -> None:
        self._policy = policy
        self._matcher = matcher
        self._today = today
        self._tries = Tries()
        self._person_requests = 0
        self.context = context

    @property
    def deciding_tool(self) -> str:
        return "route_call"

    def tool_called(self, name: str, arguments: str) -> Verdict:
        match name:
            case "route_call":
                checked = check_route_call(
                    arguments, self._policy, self.context, self._today, self._tries
                )
                return self._verdict(checked)
            case "escalate":
                return self._finish(check_escalate(arguments))
            case "end_call":
                return self._verdict(check_end_call(arguments, self._policy, self._tries))
            case _:
                tool = self._policy.tool(name)
                return _no_such_tool(name) if tool is None else self._look_up(tool, arguments)

    def caller_said(self, text: str) -> Finish | None:
        hit = self._matcher.match(text)
        if hit is not None:
            return self._finish(TriggerMatched(hit.intent, hit.phrase), cancellable=False)
        if wants_person(text):
            self._person_requests += 1
            if self._person_requests >= self._policy.limits.person_requests:
                return self._finish(PersonRequested(), cancellable=False)
        return None

    def digit_pressed(self, digit: str) -> Finish | None:
        if not acts_on_digit(self._policy, digit):
            return None
        return self._finish(DigitPressed(digit), cancellable=False)

    def announced_without_deciding(self, text: str) -> bool:
        return announces_transfer(text)

    def limit_reached(self, kind: LimitKind) -> Finish:
        # The caller's voice is what a silent or misled caller was missing; it lifts no other limit.
        cancellable = kind in ("silence", "announced")
        return self._finish(LimitReached(kind), cancellable=cancellable)

    # --- verdicts ----------------------------------------------------------------------------

    def _verdict(self, checked: Outcome | ToolFault) -> Verdict:
        if isinstance(checked, RouteRequested):  # known also where the caller cancels the ending
            self._know(checked.slots)
        if not isinstance(checked, ToolFault):
            return self._finish(checked)
        self._tries = checked.tries
        self._know(checked.known)
        return Answer(checked.output())

    def _know(self, slots: Mapping[str, SlotValue]) -> None:
        self.context = replace(self.context, known={**self.context.known, **slots})

    def _look_up(self, tool: LookupTool, arguments: str) -> Verdict:
        checked = check_lookup(arguments, tool)
        if isinstance(checked, ToolFault):
            return Answer(checked.output())
        return Lookup(tool.name, checked)

    def _finish(self, outcome: Outcome, *, cancellable: bool = True) -> Finish:
        lines = self._policy.lines
        line = lines.goodbye if isinstance(outcome, Resolved) else lines.closing
        return Finish(outcome, ACCEPTED, self._closing(line), cancellable)

    def _closing(self, line: Spoken) -> str:
        words = in_language(line, self.context.language or self._policy.language)
        if not words:
            return ""
        return (
            "Say now, in the language of this conversation, one short closing sentence such as"
            f' "{words}" Ask nothing and add nothing.'
        )


def _no_such_tool(name: str) -> Answer:
    problem = f"there is no tool {name[:64]!r}; use the ones you were given"
    return Answer(orjson.dumps({"ok": False, "problem": problem}).decode())
