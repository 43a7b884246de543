"""Messages: sent, listed."""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING

from loadtest.twilio.directory import Message
from loadtest.twilio.resources.base import Json, Request, RestError

if TYPE_CHECKING:
    from loadtest.twilio.call import Exchange

MAX_MESSAGE_CHARACTERS = 1600


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
