"""Calls: looked up, redirected, ended."""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING

from loadtest.twilio.directory import CallRecord
from loadtest.twilio.leg import Goto, HungUp, Inline
from loadtest.twilio.resources.base import Json, Request, RestError, not_found
from loadtest.twilio.webhooks import Method

if TYPE_CHECKING:
    from loadtest.twilio.call import CallLeg, Exchange

MAX_TWIML_CHARACTERS = 4000


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
