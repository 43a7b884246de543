"""What triage asks of Twilio by REST: tasks, executions, messages, and the call itself.

Twilio takes no idempotency key for any of these. With ``in_doubt`` each one therefore looks first
for what an earlier attempt may have made, by what only that attempt can have written.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dispatch.rest_client import (
    CALL_NOT_IN_PROGRESS,
    CONTACT_BUSY,
    NOT_FOUND,
    InDoubtError,
    NotDoneError,
    RefusedError,
    RestClient,
    Send,
)
from dispatch.twiml import INLINE_LIMIT

CLOCKS_DIFFER = dt.timedelta(seconds=60)
"""Twilio's clock and ours agree to within this."""
LOOKED_THROUGH = 50
"""Messages and executions, newest first, among which an earlier attempt is looked for."""
MOST_CHANNELS = 1000

CallMove: TypeAlias = Literal["moved", "caller_gone"]

# Nobody is on the line any more; asking again brings nobody back.
_GONE = frozenset({CALL_NOT_IN_PROGRESS, NOT_FOUND})
_LIVE = frozenset({"queued", "ringing", "in-progress"})


@dataclass(frozen=True, slots=True)
class CallbackTask:
    """A Task for somebody to call back. ``task_key`` is among its attributes, and no other's."""

    call_sid: str
    workspace_sid: str
    workflow_sid: str
    task_channel: str
    priority: int
    timeout_s: int
    attributes: str
    """A JSON object."""
    task_key: str


@dataclass(frozen=True, slots=True)
class CallTask:
    """The Task that an ``<Enqueue>`` makes of a call."""

    call_sid: str
    workspace_sid: str


@dataclass(frozen=True, slots=True)
class FlowExecution:
    """A run of a Studio flow towards ``to``. ``since``: it cannot have begun before."""

    flow_sid: str
    to: str
    from_number: str
    parameters: dict[str, str]
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class TextMessage:
    """``since``: it cannot have been sent before. The body is taken to be unlike any other."""

    to: str
    from_number: str
    body: str
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class CallState:
    """``status`` is Twilio's word: ``in-progress``, ``completed``, ..."""

    status: str
    ended_at: dt.datetime | None = None
    duration_s: int | None = None

    @property
    def live(self) -> bool:
        return self.status in _LIVE


class TwilioRest:
    """Raises RefusedError, NotDoneError or InDoubtError, and nothing else."""

    def __init__(self, client: RestClient) -> None:
        self._rest = client

    async def create_callback_task(self, task: CallbackTask, *, in_doubt: bool = False) -> str:
        """The Task's SID."""
        if in_doubt:
            made = await self._find_task(task)
            if made is not None:
                return made
        created = await self._rest.call(
            "create_task",
            lambda client: client.taskrouter.v1.workspaces(task.workspace_sid).tasks.create_async(
                attributes=task.attributes,
                workflow_sid=task.workflow_sid,
                task_channel=task.task_channel,
                priority=task.priority,
                timeout=task.timeout_s,
            ),
        )
        return str(created.sid)

    async def _find_task(self, task: CallbackTask) -> str | None:
        """A call's Enqueue makes a Task of the same ``call_sid``; the key tells ours apart."""
        tasks = await self._tasks_of(task.workspace_sid, task.call_sid)
        return next((sid for sid, key in tasks if key == task.task_key), None)

    async def find_call_task(self, sought: CallTask) -> str | None:
        """The SID of the live call's own Task, not of one that we made; None: there is none."""
        tasks = await self._tasks_of(sought.workspace_sid, sought.call_sid)
        return next((sid for sid, key in tasks if key is None), None)

    async def _tasks_of(self, workspace_sid: str, call_sid: str) -> list[tuple[str, object]]:
        """SID and ``task_key`` of each."""
        tasks = await self._rest.call(
            "list_tasks",
            lambda client: client.taskrouter.v1.workspaces(workspace_sid).tasks.list_async(
                evaluate_task_attributes=f'call_sid=="{call_sid}"', limit=LOOKED_THROUGH
            ),
        )
        return [(str(one.sid), _attribute(one.attributes, "task_key")) for one in tasks]

    async def start_execution(self, wanted: FlowExecution, *, in_doubt: bool = False) -> str:
        """The execution's SID. NotDoneError while the contact is in another run of the flow."""
        if in_doubt:
            started = await self._find_execution(wanted)
            if started is not None:
                return started
        try:
            created = await self._rest.call(
                "create_execution",
                lambda client: client.studio.v2.flows(wanted.flow_sid).executions.create_async(
                    to=wanted.to, from_=wanted.from_number, parameters=wanted.parameters
                ),
            )
        except RefusedError as refused:
            if refused.code == CONTACT_BUSY:
                what = "has to wait: the contact is in another execution"
                raise NotDoneError("create_execution", what, refused.status, refused.code) from None
            raise
        return str(created.sid)

    async def _find_execution(self, wanted: FlowExecution) -> str | None:
        since = wanted.since - CLOCKS_DIFFER
        executions = await self._rest.call(
            "list_executions",
            lambda client: client.studio.v2.flows(wanted.flow_sid).executions.list_async(
                date_created_from=since, limit=LOOKED_THROUGH
            ),
        )
        for one in executions:
            if one.contact_channel_address == wanted.to and _not_before(one.date_created, since):
                return str(one.sid)
        return None

    async def send_sms(self, message: TextMessage, *, in_doubt: bool = False) -> str:
        """The message's SID; Twilio has taken it, which is not yet a delivery."""
        if in_doubt:
            sent = await self._find_message(message)
            if sent is not None:
                return sent
        created = await self._rest.call(
            "create_message",
            lambda client: client.messages.create_async(
                to=message.to, from_=message.from_number, body=message.body
            ),
        )
        return str(created.sid)

    async def _find_message(self, message: TextMessage) -> str | None:
        since = message.since - CLOCKS_DIFFER
        messages = await self._rest.call(
            "list_messages",
            lambda client: client.messages.list_async(
                to=message.to, from_=message.from_number, limit=LOOKED_THROUGH
            ),
        )
        for one in messages:
            if one.body == message.body and _not_before(one.date_created, since):
                return str(one.sid)
        return None

    # --- the call itself -----------------------------------------------------------------------

    async def move_call(self, call_sid: str, twiml: str) -> CallMove:
        """Replace the document of a live call. ValueError for a document longer than Twilio takes.

        After an unclear answer the call is looked at: one that is over was left by its caller.
        """
        if len(twiml) > INLINE_LIMIT:
            raise ValueError(
                f"the document has {len(twiml)} characters, allowed are {INLINE_LIMIT}"
            )
        try:
            await self._rest.call(
                "update_call", lambda client: client.calls(call_sid).update_async(twiml=twiml)
            )
        except RefusedError as refused:
            if refused.code in _GONE:
                return "caller_gone"
            raise
        except InDoubtError:
            call = await self.fetch_call(call_sid)
            if call is not None and call.live:
                raise
            return "caller_gone"
        return "moved"

    async def fetch_call(self, call_sid: str) -> CallState | None:
        """How a call is; None for one that Twilio does not know."""
        call = await self._fetch("fetch_call", lambda client: client.calls(call_sid).fetch_async())
        if call is None:
            return None
        ended_at = call.end_time if isinstance(call.end_time, dt.datetime) else None
        seconds = str(call.duration or "")
        return CallState(str(call.status), ended_at, int(seconds) if seconds.isdecimal() else None)

    # --- what an operator's file refers to -----------------------------------------------------

    async def workflow_configuration(
        self, workspace_sid: str, workflow_sid: str
    ) -> dict[str, Any] | None:
        """Filters and targets of a workflow; None where there is no such workflow."""
        workflow = await self._fetch(
            "fetch_workflow",
            lambda client: (
                client.taskrouter.v1.workspaces(workspace_sid).workflows(workflow_sid).fetch_async()
            ),
        )
        return None if workflow is None else _json_object(workflow.configuration)

    async def task_channels(self, workspace_sid: str) -> frozenset[str] | None:
        """Unique names and SIDs; None where there is no such workspace."""
        channels = await self._fetch(
            "list_task_channels",
            lambda client: client.taskrouter.v1.workspaces(workspace_sid).task_channels.list_async(
                limit=MOST_CHANNELS
            ),
        )
        if channels is None:
            return None
        return frozenset(str(name) for one in channels for name in (one.unique_name, one.sid))

    async def flow_status(self, flow_sid: str) -> str | None:
        """``published`` or ``draft``; None where there is no such flow."""
        flow = await self._fetch(
            "fetch_flow", lambda client: client.studio.v2.flows(flow_sid).fetch_async()
        )
        return None if flow is None else str(flow.status)

    async def _fetch(self, operation: str, send: Send[Any]) -> Any | None:  # noqa: ANN401
        """One of the package's own objects; None where Twilio does not know it."""
        try:
            return await self._rest.call(operation, send)
        except RefusedError as refused:
            if refused.code in (NOT_FOUND, 404):
                return None
            raise


def _not_before(moment: object, since: dt.datetime) -> bool:
    """Of what the package could not read it gives the text."""
    if not isinstance(moment, dt.datetime):
        return False
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return aware >= since


def _attribute(attributes: object, name: str) -> object:
    return _json_object(attributes).get(name)


def _json_object(text: object) -> dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
