"""Recognises Studio's webhook addresses. They are where a call goes, and are never contacted."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from loadtest.twilio.notices import Code
from loadtest.twilio.outcomes import DocumentError, Outcome, StudioReturn, StudioTrigger
from loadtest.twilio.sids import ACCOUNT_SID, FLOW_SID

HOST = "webhooks.twilio.com"


def recognise(url: str) -> Outcome | None:
    """Where a Studio URL leads; None when the URL is not one of Studio's.

    ``FlowEvent=return`` goes back into the flow, ``Trigger=incomingCall`` or neither starts one.
    """
    parts = urlsplit(url)
    if parts.hostname != HOST:
        return None
    segments = parts.path.strip("/").split("/")
    match segments:
        case ["v1", "Accounts", account, "Flows", flow] if (
            parts.scheme == "https" and ACCOUNT_SID.fullmatch(account) and FLOW_SID.fullmatch(flow)
        ):
            return _flow(flow, dict(parse_qsl(parts.query, keep_blank_values=True)), url)
        case _:
            return _error(f"{parts.path} is not /v1/Accounts/AC.../Flows/FW... over https", url)


def _flow(flow_sid: str, query: dict[str, str], url: str) -> Outcome:
    event, trigger = query.pop("FlowEvent", None), query.pop("Trigger", None)
    if event == "return" and trigger is None:
        return StudioReturn(flow_sid, query)
    if event is None and trigger in (None, "incomingCall"):
        return StudioTrigger(flow_sid, query)
    return _error(f"FlowEvent is {event!r} and Trigger {trigger!r}: no such entry", url)


def _error(message: str, url: str) -> Outcome:
    return DocumentError(Code.HTTP_RETRIEVAL_FAILURE, f"Studio webhook: {message}", url)
