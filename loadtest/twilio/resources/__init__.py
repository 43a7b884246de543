"""What each REST operation does, and how each resource reads as JSON. Knows no socket.

A handler gets a checked request and returns the resource, or raises ``RestError``.
"""

from __future__ import annotations

from collections.abc import Mapping

from loadtest.twilio.resources import calls, executions, messages, tasks
from loadtest.twilio.resources.base import Handler, Json, Request, RestError, not_found

__all__ = ["HANDLERS", "Handler", "Json", "Request", "RestError", "not_found"]

HANDLERS: Mapping[str, Handler] = {
    "FetchCall": calls.fetch_call,
    "UpdateCall": calls.update_call,
    "CreateTask": tasks.create_task,
    "ListTask": tasks.list_tasks,
    "FetchTask": tasks.fetch_task,
    "UpdateTask": tasks.update_task,
    "FetchWorkflow": tasks.fetch_workflow,
    "ListTaskChannel": tasks.list_task_channels,
    "FetchFlow": executions.fetch_flow,
    "CreateExecution": executions.create_execution,
    "ListExecution": executions.list_executions,
    "UpdateExecution": executions.end_execution,
    "CreateMessage": messages.create_message,
    "ListMessage": messages.list_messages,
}
