"""One request of Twilio's: bounded, parsed, its signature and its SIDs checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request

from bridge.config import Settings
from bridge.studio_flow import flow_in
from bridge.web.signatures import SIGNATURE_HEADER, Form, signature_check

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 500
FORM_TYPE = "application/x-www-form-urlencoded"
MAX_PASSED_ON = 32
MAX_PASSED_ON_CHARS = 500
IDEMPOTENCY_HEADER = "i-twilio-idempotency-token"

_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}", re.ASCII)
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}", re.ASCII)
_PASSED_ON = re.compile(r"(flex|ivr)_[A-Za-z0-9_]{1,60}", re.ASCII)
_MAX_KEY_CHARS = 200


class RejectedError(Exception):
    """The request is not served. ``reason`` is for the log, ``str()`` for whoever sent it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request that was let in."""

    call_sid: str
    account_sid: str
    form: Form
    query: Mapping[str, str]
    idempotency_key: str | None

    def field(self, name: str, limit: int = 256) -> str:
        """A form field, empty if it is missing; longer than ``limit`` is no value of Twilio's."""
        value = self.form.get(name, "")
        return value if len(value) <= limit else ""

    @property
    def flow_sid(self) -> str | None:
        """The Studio flow that ``?flow=FW...`` names as the sender."""
        return flow_in(self.query)

    @property
    def passed_on(self) -> dict[str, str]:
        """``flex_*`` and ``ivr_*`` of query and form. Too many or too long ones are left out."""
        fields = {**self.query, **dict(self.form)}
        kept = {
            name: value
            for name, value in fields.items()
            if _PASSED_ON.fullmatch(name) and len(name) + len(value) < MAX_PASSED_ON_CHARS
        }
        return dict(list(kept.items())[:MAX_PASSED_ON])


class Reception:
    """Lets Twilio's requests in, and nobody else's."""

    def __init__(self, settings: Settings) -> None:
        self._account_sid = settings.twilio.account_sid
        self._check = signature_check(settings)

    async def admit(self, request: Request) -> Webhook:
        """Raises RejectedError, before the body is read if there is no signature at all."""
        if self._check is not None and not request.headers.get(SIGNATURE_HEADER):
            raise RejectedError(403, "signature_missing", "X-Twilio-Signature is missing")
        form = _form(request, await _body(request))
        self._verify(request, form)
        return Webhook(
            call_sid=_sid(form, "CallSid", _CALL_SID),
            account_sid=self._account(form),
            form=form,
            query=dict(request.query_params),
            idempotency_key=request.headers.get(IDEMPOTENCY_HEADER, "")[:_MAX_KEY_CHARS] or None,
        )

    def _verify(self, request: Request, form: Form) -> None:
        if self._check is None:
            return
        target = request.scope["raw_path"].decode("latin-1")
        query: bytes = request.scope["query_string"]
        if query:
            target += "?" + query.decode("latin-1")
        fault = self._check.request(target, form, request.headers)
        if fault is not None:
            raise RejectedError(
                403, fault, "X-Twilio-Signature does not fit this request, PUBLIC_URL and token"
            )

    def _account(self, form: Form) -> str:
        account = _sid(form, "AccountSid", _ACCOUNT_SID)
        if self._account_sid not in (None, account):
            raise RejectedError(
                403, "account_mismatch", "AccountSid is not the account served here"
            )
        return account


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise RejectedError(
                413, "body_too_big", f"the body has more than {MAX_BODY_BYTES} bytes"
            )
    return bytes(body)


def _form(request: Request, body: bytes) -> Form:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != FORM_TYPE:
        raise RejectedError(415, "content_type", f"the body is not {FORM_TYPE}")
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise RejectedError(400, "bad_form", "the body is not a UTF-8 form") from None
    return ImmutableMultiDict(pairs)


def _sid(form: Form, name: str, shape: re.Pattern[str]) -> str:
    value = form.get(name, "")
    if not shape.fullmatch(value):
        expected = f"{shape.pattern[:2]} and 32 hexadecimal digits"
        what = f"{len(value)} characters" if value else "missing"
        raise RejectedError(400, f"bad_{name.lower()}", f"{name} is {what}, expected {expected}")
    return value
