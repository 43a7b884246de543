"""TaskRouter tasks: made, listed by attributes, changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loadtest.twilio.resources.base import (
    Json,
    Request,
    RestError,
    iso,
    listing,
    not_found,
)
from loadtest.twilio.taskrouter import BadAttributesError, Task, parse_attributes

if TYPE_CHECKING:
    from loadtest.twilio.call import Exchange

MAX_TASK_TIMEOUT_S = 1_209_600
MAX_PRIORITY = 2**31 - 1


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
        "date_created": iso(task.created),
        "date_updated": iso(task.created),
        "url": url,
        "links": {},
    }
