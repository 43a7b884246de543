"""Twilio's requests to the application: signed, bounded in time, all kept for the result."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import parse_qs, urldefrag, urlencode, urlsplit, urlunsplit

import aiohttp
import yarl

from loadtest.twilio import signature
from loadtest.twilio.journal import Journal
from loadtest.twilio.notices import Code
from loadtest.twilio.origins import Origins, UnreachableOriginError
from loadtest.twilio.sids import Sids
from loadtest.twilio.signature import Signing

IDEMPOTENCY_HEADER = "I-Twilio-Idempotency-Token"
MAX_BODY_BYTES = 1024 * 1024
MAX_RETRIES = 5

Method: TypeAlias = Literal["GET", "POST"]


class WebhookFailed(Exception):  # noqa: N818 - past tense: it happened
    """No usable answer: ``code`` is Twilio's."""

    def __init__(self, code: Code, message: str, url: str) -> None:
        self.code = code
        self.message = message
        self.url = url
        super().__init__(f"{code.value}: {message}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the application said."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """One request and its answer; ``answer`` is None when none came."""

    purpose: str
    method: Method
    url: str
    params: Mapping[str, str]
    at_ms: int
    took_ms: int
    answer: Answer | None = None

    @property
    def status(self) -> int | None:
        return self.answer.status if self.answer is not None else None


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """How requests are signed and where they may go; ``repeated`` purposes are sent twice."""

    account_sid: str
    auth_token: str = field(repr=False)
    origins: Origins
    signing: Signing = Signing.EXACT
    ssl_context: ssl.SSLContext | None = None
    timeout_s: float = 15.0
    repeated: frozenset[str] = frozenset()


def _retries(url: str) -> int:
    """Of the address's connection overrides. Without any there are none here: Twilio's own one
    retry is for connections that do not come about."""
    overrides = parse_qs(urldefrag(url).fragment)
    count = overrides.get("rc", ["0"])[0]
    asked = "all" in overrides.get("rp", [""])[0].split(",") and count.isdecimal()
    return min(int(count), MAX_RETRIES) if asked else 0


class Webhooks:
    """The HTTP client of one call. ``session`` is shared by all calls of a platform."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: WebhookSettings,
        journal: Journal,
        sids: Sids,
    ) -> None:
        self._session = session
        self._sids = sids
        self._settings = settings
        self._journal = journal
        self.calls: list[WebhookCall] = []

    async def request(
        self, purpose: str, url: str, method: Method, params: Mapping[str, str]
    ) -> WebhookCall:
        """Ask the application; WebhookFailed when no 2xx came in time.

        A repeated request carries the same idempotency token; the second answer is taken.
        """
        token = self._sids.new("IT")
        if purpose in self._settings.repeated:
            await self._once(purpose, url, method, params, token)
        for _ in range(_retries(url)):
            with contextlib.suppress(WebhookFailed):
                return await self._once(purpose, url, method, params, token)
        return await self._once(purpose, url, method, params, token)

    async def _once(
        self, purpose: str, url: str, method: Method, params: Mapping[str, str], token: str
    ) -> WebhookCall:
        url = urldefrag(url).url
        if method == "GET" and params:
            parts = urlsplit(url)
            query = "&".join(filter(None, (parts.query, urlencode(params))))
            url, body = urlunsplit(parts._replace(query=query)), {}
        else:
            body = dict(params)
        began = time.monotonic()
        answer: Answer | None = None
        try:
            answer = await self._exchange(url, method, body, token)
        finally:
            call = WebhookCall(
                purpose,
                method,
                url,
                dict(params),
                at_ms=self._journal.timeline.ms(began),
                took_ms=round((time.monotonic() - began) * 1000),
                answer=answer,
            )
            self.calls.append(call)
            self._journal.event("webhook", began, purpose=purpose, url=url, status=call.status)
        if not 200 <= answer.status < 300:
            message = f"{method} {purpose} answered {answer.status}, expected 2xx"
            raise WebhookFailed(Code.HTTP_RETRIEVAL_FAILURE, message, url)
        return call

    async def _exchange(
        self, url: str, method: Method, body: Mapping[str, str], token: str
    ) -> Answer:
        settings = self._settings
        failed = Code.HTTP_CONNECTION_FAILURE
        try:
            to = settings.origins.destination(url)
            async with self._session.request(
                method,
                yarl.URL(to.address, encoded=True),  # what was signed goes out as it is
                data=dict(body) if method == "POST" else None,
                headers={**self._headers(url, body, to.host), IDEMPOTENCY_HEADER: token},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
                ssl=settings.ssl_context if settings.ssl_context is not None else True,
            ) as response:
                return Answer(response.status, response.content_type, await _body(response))
        except UnreachableOriginError as error:
            raise WebhookFailed(failed, str(error), url) from None
        except TimeoutError:
            raise WebhookFailed(failed, f"no answer within {settings.timeout_s:g} s", url) from None
        except (aiohttp.ClientError, OSError) as error:
            raise WebhookFailed(failed, f"{type(error).__name__}: {error}", url) from None

    def _headers(self, url: str, body: Mapping[str, str], host: str) -> dict[str, str]:
        headers = {"Host": host, "User-Agent": "TwilioProxy/1.1", "Accept": "*/*"}
        to_sign = signature.webhook_url_to_sign(url)
        settings = self._settings
        signed = signature.signature_for(to_sign, body, settings.auth_token, settings.signing)
        if signed is not None:
            headers[signature.HEADER] = signed
        return headers


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole answer, up to a limit."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise aiohttp.ClientPayloadError(f"more than {MAX_BODY_BYTES} bytes")
    return bytes(body)
