"""Studio executions: one active run per contact."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from loadtest.twilio.directory import Execution
from loadtest.twilio.resources.base import (
    Json,
    Request,
    RestError,
    iso,
    listing,
    not_found,
)

if TYPE_CHECKING:
    from loadtest.twilio.call import Exchange


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
        "date_created": iso(execution.created),
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
