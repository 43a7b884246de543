"""What a decision wants done beside the call: tasks, executions, messages. Does none of it.

Each effect is a kind, a key that tells several of a kind on one hop apart, and a JSON object that
is all its performer needs (performers.py). Asked twice, the same decision wants the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, assert_never

from dispatch.attributes import TASK_LIMIT, pack, return_parameters
from dispatch.decision import Decision
from dispatch.envelope import Envelope
from dispatch.pages import page_email, page_text
from dispatch.routes import (
    CallbackTaskRoute,
    DialRoute,
    FlexRoute,
    PageRoute,
    ResolveRoute,
    StudioExecutionRoute,
    StudioReturnRoute,
    StudioTriggerRoute,
    VoicemailRoute,
)

EffectKind: TypeAlias = Literal["callback_task", "studio_execution", "sms", "email", "look_back"]

PAGE_WITHIN_S = 30 * 60.0
"""An alarm that comes later helps nobody."""
FOLLOW_UP_WITHIN_S = 24 * 3600.0
LOOK_BACK_AFTER_S = 30.0
LOOK_BACK_WITHIN_S = 240.0
"""TaskRouter forgets a Task some minutes after it is completed."""
_KEY_ROOM = 200
"""Characters of a Task's attributes for ``call_sid`` and ``task_key``, which are always there."""


@dataclass(frozen=True, slots=True)
class WantedEffect:
    """``deliver_within_s``: from now on; after that it is of no use. Not before ``delay_s``."""

    kind: EffectKind
    key: str
    payload: Mapping[str, Any]
    deliver_within_s: float
    delay_s: float = 0.0


def side_effects(decision: Decision, envelope: Envelope) -> tuple[WantedEffect, ...]:
    """Of the chosen route, and of the one that follows it where it is a page."""
    effects = list(_of_route(decision, envelope))
    following = decision.after_page() if isinstance(decision.route, PageRoute) else None
    if following is not None:
        effects += _of_route(following, envelope)
    return tuple(effects)


def look_backs(decision: Decision, envelope: Envelope) -> tuple[WantedEffect, ...]:
    """What is to be looked at later: did the Task appear that Twilio makes of our TwiML?

    Nothing depends on it but what is known, unlike on the side effects.
    """
    route = decision.route
    if not isinstance(route, FlexRoute) or route.workspace_sid is None:
        return ()
    payload = {"call_sid": envelope.call.call_sid, "workspace_sid": route.workspace_sid}
    name = decision.chosen.name
    return (
        WantedEffect("look_back", name, payload, LOOK_BACK_WITHIN_S, delay_s=LOOK_BACK_AFTER_S),
    )


def _of_route(decision: Decision, envelope: Envelope) -> Iterator[WantedEffect]:
    route, name = decision.route, decision.chosen.name
    match route:
        case CallbackTaskRoute():
            payload = _task(decision, route, envelope)
            yield WantedEffect("callback_task", name, payload, float(route.timeout_s))
        case StudioExecutionRoute():
            payload = _execution(decision, route, envelope)
            yield WantedEffect("studio_execution", name, payload, FOLLOW_UP_WITHIN_S)
        case PageRoute():
            yield from _pages(name, route, envelope)
        case (
            StudioReturnRoute()
            | StudioTriggerRoute()
            | FlexRoute()
            | DialRoute()
            | VoicemailRoute()
            | ResolveRoute()
        ):
            return
        case _:
            assert_never(route)


def _task(decision: Decision, route: CallbackTaskRoute, envelope: Envelope) -> dict[str, Any]:
    call_sid = envelope.call.call_sid
    task_key = f"{call_sid}/{envelope.hops}/{decision.chosen.name}"
    packed = pack(decision, envelope, limit=TASK_LIMIT - _KEY_ROOM, live_call=False)
    attributes = {**json.loads(packed), "call_sid": call_sid, "task_key": task_key}
    return {
        "call_sid": call_sid,
        "workspace_sid": route.workspace_sid,
        "workflow_sid": route.workflow_sid,
        "task_channel": route.task_channel,
        "priority": decision.priority,
        "timeout_s": route.timeout_s,
        "attributes": json.dumps(attributes, ensure_ascii=False, separators=(",", ":")),
        "task_key": task_key,
    }


def _execution(
    decision: Decision, route: StudioExecutionRoute, envelope: Envelope
) -> dict[str, Any]:
    call = envelope.call
    return {
        "flow_sid": route.flow_sid,
        "to": envelope.callback or "",
        "from_number": route.from_number or call.to_number,
        "parameters": {**return_parameters(decision, envelope), "call_sid": call.call_sid},
    }


def _pages(name: str, route: PageRoute, envelope: Envelope) -> Iterator[WantedEffect]:
    sender = route.from_number or envelope.call.to_number
    body = page_text(envelope)
    for index, number in enumerate(route.sms):
        payload = {"to": number, "from_number": sender, "body": body}
        yield WantedEffect("sms", f"{name}/{index}", payload, PAGE_WITHIN_S)
    subject, text = page_email(envelope)
    for index, address in enumerate(route.email):
        message = {"to": address, "subject": subject, "text": text}
        yield WantedEffect("email", f"{name}/{index}", message, PAGE_WITHIN_S)
