"""What each REST operation does, and how each resource reads as JSON. Knows no socket.

A handler gets a checked request and returns the resource, or raises ``RestError``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from loadtest.twilio.directory import CallRecord, Execution, Message
from loadtest.twilio.leg import Goto, HungUp, Inline
from loadtest.twilio.rest_schema import Form
from loadtest.twilio.taskrouter import BadAttributesError, Task, parse_attributes
from loadtest.twilio.webhooks import Method

if TYPE_CHECKING:
    from loadtest.twilio.call import CallLeg, Exchange

MAX_TWIML_CHARACTERS = 4000
MAX_MESSAGE_CHARACTERS = 1600
MAX_TASK_TIMEOUT_S = 1_209_600
MAX_PRIORITY = 2**31 - 1

Json: TypeAlias = dict[str, Any]


class RestError(Exception):
    """Twilio's error body."""

    def __init__(
        self, status: int, code: int, message: str, details: Mapping[str, object] | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        super().__init__(f"{status} {code}: {message}")

    def as_json(self) -> Json:
        body: Json = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        return {**body, "details": dict(self.details)} if self.details else body


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose fields have been checked against the description."""

    path: Mapping[str, str]
    query: Form
    form: Form

    def get(self, field: str) -> str | None:
        values = self.form.get(field)
        return values[0] if values else None


Handler: TypeAlias = Callable[["Exchange", Request], Json]


# --- calls ------------------------------------------------------------------------------------


def fetch_call(exchange: Exchange, request: Request) -> Json:
    return call_json(exchange, _call(exchange, request))


def update_call(exchange: Exchange, request: Request) -> Json:
    """Replace the document of a live call, or end it."""
    record = _call(exchange, request)
    twiml, url, status = request.get("Twiml"), request.get("Url"), request.get("Status")
    if twiml is not None and url is not None:
        raise RestError(400, 21218, "Twiml and Url exclude each other")
    if twiml is not None and len(twiml) > MAX_TWIML_CHARACTERS:
        text = f"Twiml is {len(twiml)} characters long, expected at most {MAX_TWIML_CHARACTERS}"
        raise RestError(400, 21218, text)
    if twiml is None and url is None and status is None:
        return call_json(exchange, record)
    if record.leg is None or record.status not in ("in-progress", "ringing"):
        raise RestError(400, 21220, "Call is not in-progress. Cannot redirect.")
    if status is not None:
        record.leg.interrupt(HungUp(f"REST {status}", by_rest=True))
    elif record.status == "ringing":
        raise RestError(400, 21220, "Call is not in-progress. Cannot redirect.")
    elif twiml is not None:
        record.leg.update(Inline(twiml.encode()))
    elif url is not None:
        _redirect(record.leg, url, request)
    return call_json(exchange, record)


def _redirect(leg: CallLeg, url: str, request: Request) -> None:
    """Twilio heeds the callbacks of an update only together with Url."""
    leg.fallback_url = request.get("FallbackUrl") or leg.fallback_url
    leg.status_callback = request.get("StatusCallback") or leg.status_callback
    method: Method = "GET" if request.get("Method") == "GET" else "POST"
    leg.update(Goto(url, method, purpose="update"))


def _call(exchange: Exchange, request: Request) -> CallRecord:
    record = exchange.directory.call(request.path["Sid"])
    if record is None:
        raise not_found(f"/Calls/{request.path['Sid']}.json")
    return record


def call_json(exchange: Exchange, record: CallRecord) -> Json:
    account, params = exchange.settings.account_sid, record.params
    ended = record.ended
    return {
        "sid": record.sid,
        "account_sid": account,
        "api_version": params["ApiVersion"],
        "date_created": format_datetime(record.created),
        "date_updated": format_datetime(ended or record.created),
        "direction": params["Direction"],
        "duration": None if record.duration_s is None else str(record.duration_s),
        "end_time": None if ended is None else format_datetime(ended),
        "from": params["From"],
        "to": params["To"],
        "parent_call_sid": None,
        "start_time": format_datetime(record.created),
        "status": record.status,
        "uri": f"/2010-04-01/Accounts/{account}/Calls/{record.sid}.json",
        "subresource_uris": {},
    }


# --- tasks ------------------------------------------------------------------------------------


def create_task(exchange: Exchange, request: Request) -> Json:
    workflow_sid = request.get("WorkflowSid")
    if workflow_sid is None:
        raise RestError(400, 20001, "WorkflowSid is missing: the workspace has several")
    priority = _number(request, "Priority", 0, MAX_PRIORITY)
    timeout_s = _number(request, "Timeout", 86_400, MAX_TASK_TIMEOUT_S)
    _check_virtual_start(request.get("VirtualStartTime"))
    task = exchange.taskrouter.create(
        workflow_sid,
        _attributes(request.get("Attributes") or "{}"),
        priority=priority,
        timeout_s=timeout_s,
        by_rest=True,
        channel=request.get("TaskChannel") or "default",
    )
    return task_json(exchange, task)


def list_tasks(exchange: Exchange, request: Request) -> Json:
    expression = request.query.get("EvaluateTaskAttributes")
    tasks = list(exchange.taskrouter.tasks)
    if expression:
        try:
            tasks = exchange.taskrouter.find(expression[0])
        except ValueError as error:
            raise RestError(400, 20001, str(error)) from None
    wanted = request.query.get("AssignmentStatus")
    found = [task for task in tasks if not wanted or task.status in wanted]
    return listing("tasks", [task_json(exchange, task) for task in found])


def fetch_task(exchange: Exchange, request: Request) -> Json:
    return task_json(exchange, _task(exchange, request))


def update_task(exchange: Exchange, request: Request) -> Json:
    task = _task(exchange, request)
    attributes, status = request.get("Attributes"), request.get("AssignmentStatus")
    if attributes is not None:
        task.attributes = _attributes(attributes)
    if status is not None:
        task.status, task.reason = status, request.get("Reason") or ""
    task.priority = _number(request, "Priority", task.priority, MAX_PRIORITY)
    return task_json(exchange, task)


def fetch_workflow(exchange: Exchange, request: Request) -> Json:
    sid = request.path["Sid"]
    configuration = exchange.settings.workflows.get(sid)
    if configuration is None:
        raise not_found(f"/Workflows/{sid}")
    workspace = exchange.settings.workspace_sid
    return {
        "sid": sid,
        "account_sid": exchange.settings.account_sid,
        "workspace_sid": workspace,
        "friendly_name": sid,
        "configuration": json.dumps(configuration),
        "task_reservation_timeout": 120,
        "url": f"https://taskrouter.twilio.com/v1/Workspaces/{workspace}/Workflows/{sid}",
        "links": {},
    }


def list_task_channels(exchange: Exchange, request: Request) -> Json:
    workspace = exchange.settings.workspace_sid
    base = f"https://taskrouter.twilio.com/v1/Workspaces/{workspace}/TaskChannels"
    channels = [
        {
            "sid": sid,
            "account_sid": exchange.settings.account_sid,
            "workspace_sid": workspace,
            "friendly_name": name.title(),
            "unique_name": name,
            "channel_optimized_routing": True,
            "url": f"{base}/{sid}",
            "links": {},
        }
        for name, sid in exchange.settings.task_channels.items()
    ]
    return listing("channels", channels)


def _task(exchange: Exchange, request: Request) -> Task:
    sid = request.path["Sid"]
    for task in exchange.taskrouter.tasks:
        if task.sid == sid:
            return task
    raise not_found(f"/Tasks/{sid}")


def _attributes(text: str) -> Json:
    try:
        return parse_attributes(text)
    except BadAttributesError as error:
        raise RestError(400, 20001, f"Attributes: {error}") from None


def _number(request: Request, field: str, default: int, most: int) -> int:
    value = int(request.get(field) or default)
    if not 0 <= value <= most:
        raise RestError(400, 20001, f"{field} is {value}, expected 0 to {most}")
    return value


def _check_virtual_start(text: str | None) -> None:
    if text is None:
        return
    start = datetime.fromisoformat(text)
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    if not start.year >= 1900 or start > datetime.now(UTC):
        raise RestError(400, 20001, "VirtualStartTime lies in the future or before 1900")


def task_json(exchange: Exchange, task: Task) -> Json:
    settings = exchange.settings
    url = f"https://taskrouter.twilio.com/v1/Workspaces/{settings.workspace_sid}/Tasks/{task.sid}"
    return {
        "sid": task.sid,
        "account_sid": settings.account_sid,
        "workspace_sid": settings.workspace_sid,
        "workflow_sid": task.workflow_sid,
        "attributes": json.dumps(task.attributes),
        "priority": task.priority,
        "timeout": task.timeout_s,
        "assignment_status": task.status,
        "reason": task.reason or None,
        "task_channel_unique_name": task.channel,
        "age": int((datetime.now(UTC) - task.created).total_seconds()),
        "date_created": _iso(task.created),
        "date_updated": _iso(task.created),
        "url": url,
        "links": {},
    }


# --- Studio -----------------------------------------------------------------------------------


def create_execution(exchange: Exchange, request: Request) -> Json:
    """One active execution per contact: a second one is 409 with the first one's SID."""
    flow_sid, contact = request.path["FlowSid"], request.get("To") or ""
    running = exchange.directory.active_execution(flow_sid, contact)
    if running is not None:
        message = "Execution for this contact is already active"
        raise RestError(409, 20409, message, {"conflicting_execution_sid": running.sid})
    execution = Execution(
        exchange.sids.new("FN"),
        flow_sid,
        contact,
        exchange.sids.new("FC"),
        request.get("From") or "",
        _parameters(request.get("Parameters") or "{}"),
    )
    exchange.directory.executions.append(execution)
    return execution_json(exchange, execution)


def _parameters(text: str) -> Json:
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise RestError(400, 20001, f"Parameters are not JSON: {error}") from None
    if not isinstance(parameters, dict):
        raise RestError(400, 20001, "Parameters are not a JSON object")
    return parameters


def list_executions(exchange: Exchange, request: Request) -> Json:
    of_flow = [
        execution_json(exchange, execution)
        for execution in exchange.directory.executions
        if execution.flow_sid == request.path["FlowSid"]
    ]
    return listing("executions", of_flow)


def end_execution(exchange: Exchange, request: Request) -> Json:
    execution = exchange.directory.end_execution(request.path["Sid"])
    if execution is None or execution.flow_sid != request.path["FlowSid"]:
        raise not_found(f"/Executions/{request.path['Sid']}")
    return execution_json(exchange, execution)


def execution_json(exchange: Exchange, execution: Execution) -> Json:
    base = f"https://studio.twilio.com/v2/Flows/{execution.flow_sid}/Executions/{execution.sid}"
    return {
        "sid": execution.sid,
        "account_sid": exchange.settings.account_sid,
        "flow_sid": execution.flow_sid,
        "contact_channel_address": execution.contact,
        "contact_sid": execution.contact_sid,
        "context": {},
        "status": execution.status,
        "date_created": _iso(execution.created),
        "date_updated": None,
        "url": base,
        "links": {},
    }


def fetch_flow(exchange: Exchange, request: Request) -> Json:
    sid = request.path["Sid"]
    status = exchange.settings.flows.get(sid)
    if status is None:
        raise not_found(f"/Flows/{sid}")
    return {
        "sid": sid,
        "account_sid": exchange.settings.account_sid,
        "friendly_name": sid,
        "definition": {},
        "status": status,
        "revision": 1,
        "valid": True,
        "webhook_url": (
            f"https://webhooks.twilio.com/v1/Accounts/{exchange.settings.account_sid}/Flows/{sid}"
        ),
        "url": f"https://studio.twilio.com/v2/Flows/{sid}",
        "links": {},
    }


# --- messages ---------------------------------------------------------------------------------


def create_message(exchange: Exchange, request: Request) -> Json:
    if request.get("From") is None and request.get("MessagingServiceSid") is None:
        raise RestError(400, 21603, "A From or a MessagingServiceSid is required")
    body = request.get("Body")
    if body is None and request.get("MediaUrl") is None and request.get("ContentSid") is None:
        raise RestError(400, 21619, "A Body, MediaUrl or ContentSid is required")
    if body is not None and len(body) > MAX_MESSAGE_CHARACTERS:
        raise RestError(400, 21617, f"Body has {len(body)} characters, at most 1600 are allowed")
    fields = {name: values[0] for name, values in request.form.items()}
    message = Message(exchange.sids.new("SM"), fields)
    exchange.directory.messages.append(message)
    return message_json(exchange, message)


def list_messages(exchange: Exchange, request: Request) -> Json:
    to = request.query.get("To")
    found = [each for each in exchange.directory.messages if not to or each.fields["To"] == to[0]]
    return {
        "messages": [message_json(exchange, message) for message in found],
        "page": 0,
        "page_size": 50,
        "next_page_uri": None,
    }


def message_json(exchange: Exchange, message: Message) -> Json:
    account, fields = exchange.settings.account_sid, message.fields
    return {
        "sid": message.sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": fields.get("Body"),
        "date_created": format_datetime(message.created),
        "date_sent": None,
        "date_updated": format_datetime(message.created),
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": fields.get("From"),
        "messaging_service_sid": fields.get("MessagingServiceSid"),
        "num_media": "0",
        "num_segments": "1",
        "status": "queued",
        "to": fields["To"],
        "uri": f"/2010-04-01/Accounts/{account}/Messages/{message.sid}.json",
        "subresource_uris": {},
    }


# --- all of them ------------------------------------------------------------------------------


def not_found(path: str) -> RestError:
    return RestError(404, 20404, f"The requested resource {path} was not found")


def _iso(moment: datetime) -> str:
    """As TaskRouter and Studio write it; the SDK reads nothing else."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def listing(key: str, found: list[Json]) -> Json:
    """A page with everything on it."""
    return {key: found, "meta": {"key": key, "page": 0, "page_size": 50, "next_page_url": None}}


HANDLERS: Mapping[str, Handler] = {
    "FetchCall": fetch_call,
    "UpdateCall": update_call,
    "CreateTask": create_task,
    "ListTask": list_tasks,
    "FetchTask": fetch_task,
    "UpdateTask": update_task,
    "FetchWorkflow": fetch_workflow,
    "ListTaskChannel": list_task_channels,
    "FetchFlow": fetch_flow,
    "CreateExecution": create_execution,
    "ListExecution": list_executions,
    "UpdateExecution": end_execution,
    "CreateMessage": create_message,
    "ListMessage": list_messages,
}
