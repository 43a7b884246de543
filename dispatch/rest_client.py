"""Twilio's REST API by the ``twilio`` package, with what a live call needs and the package lacks.

Every call has a deadline. A request is repeated only where it cannot have been carried out: Twilio
throttled it, or could not be reached. What else fails is told apart by its consequence: refused,
not done, or in doubt. Nothing of a request or an answer is logged or kept.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from pydantic import SecretStr
from twilio.base.exceptions import (  # type: ignore[import-untyped]
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

CONNECT_WITHIN_S = 2.0
CONNECTIONS = 32
MAX_ANSWER_BYTES = 4 * 1024 * 1024
THROTTLED = 429
CALL_NOT_IN_PROGRESS = 21220
NOT_FOUND = 20404
CONTACT_BUSY = 20409

_Result = TypeVar("_Result")
Send: TypeAlias = Callable[[Client], Awaitable[_Result]]


class RestError(Exception):
    """A REST call came to nothing, as far as is known.

    ``status`` and ``code`` are HTTP's and Twilio's; 0 where no answer came. The message never holds
    Twilio's own, which quotes what was sent.
    """

    def __init__(self, operation: str, what: str, status: int = 0, code: int = 0) -> None:
        self.operation = operation
        self.status = status
        self.code = code
        super().__init__(f"{operation} {what}")


class RefusedError(RestError):
    """Twilio will not do it, however often it is asked."""


class NotDoneError(RestError):
    """Not carried out; another time it may be."""


class InDoubtError(RestError):
    """Perhaps carried out: look before asking again."""


@dataclass(frozen=True, slots=True)
class RestSettings:
    """``username`` is the account's SID with its token, or an API key with its secret.

    ``url`` stands for every ``https://*.twilio.com`` where it is given: a simulator's address.
    """

    account_sid: str
    username: str
    password: SecretStr
    url: str | None = None
    region: str | None = None
    edge: str | None = None


@dataclass(frozen=True, slots=True)
class RestPace:
    """Seconds. ``deadline_s`` is that of all tries together."""

    deadline_s: float = 5.0
    tries: int = 3
    first_wait_s: float = 0.1
    longest_wait_s: float = 1.0

    def wait_s(self, tried: int, rng: random.Random) -> float:
        """Doubling, with jitter: anything from half of it to all of it."""
        most = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (tried - 1))
        return most * rng.uniform(0.5, 1.0)


class RestClient:
    """Made inside a running loop, used by any number of tasks, closed at the end."""

    def __init__(
        self, settings: RestSettings, rng: random.Random, pace: RestPace | None = None
    ) -> None:
        self._rng = rng
        self._pace = pace or RestPace()
        self._http = _Http(settings.url)
        self._client = Client(
            settings.username,
            settings.password.get_secret_value(),
            settings.account_sid,
            region=settings.region,
            edge=settings.edge,
            http_client=self._http,
            environment={"read": "elsewhere"},  # an empty one would be taken for none
        )
        _load_products(self._client)

    async def close(self) -> None:
        await self._http.close()

    async def call(self, operation: str, send: Send[_Result]) -> _Result:
        """The answer of ``send``, which makes one request. Raises RestError."""
        under_way = _UnderWay()
        try:
            async with asyncio.timeout(self._pace.deadline_s):
                return await self._tried(operation, send, under_way)
        except TimeoutError:
            if under_way:
                raise InDoubtError(operation, "was not answered in time") from None
            raise NotDoneError(operation, "was throttled until its deadline") from None

    async def _tried(self, operation: str, send: Send[_Result], under_way: _UnderWay) -> _Result:
        tried = 0
        while True:
            tried += 1
            try:
                with under_way:
                    return await _sent(operation, send, self._client)
            except NotDoneError:
                if tried >= self._pace.tries:
                    raise
            await asyncio.sleep(self._pace.wait_s(tried, self._rng))


def _load_products(client: Client) -> None:
    """Import now what the library imports at first use: 150 ms in which every call would stand."""
    _ = client.calls, client.messages, client.studio.v2.flows, client.taskrouter.v1.workspaces


class _UnderWay:
    """True while a request is out."""

    def __init__(self) -> None:
        self._out = False

    def __bool__(self) -> bool:
        return self._out

    def __enter__(self) -> None:
        self._out = True

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Cut off by the deadline it is out for good.
        self._out = kind is asyncio.CancelledError


async def _sent(operation: str, send: Send[_Result], client: Client) -> _Result:
    try:
        return await send(client)
    except _NotSentError:
        raise NotDoneError(operation, "did not reach Twilio") from None
    except _LostError as lost:
        raise InDoubtError(operation, f"got no whole answer: {lost}") from None
    except TwilioServiceException as fault:
        _judged(operation, fault.status, fault.code)
    except TwilioRestException as fault:
        _judged(operation, fault.status, fault.code)
    except (TwilioException, ValueError, KeyError, TypeError) as fault:
        _judge_page(operation, fault)
        what = f"was answered with nonsense ({type(fault).__name__})"
        raise InDoubtError(operation, what) from None


def _judge_page(operation: str, fault: Exception) -> None:
    """Of a list the package raises an error without a status, the answer behind its message."""
    answer = next((part for part in fault.args if isinstance(part, Response)), None)
    if answer is None or answer.status_code < 300:
        return
    try:
        body = json.loads(answer.text)
    except ValueError:
        body = None
    code = body.get("code") if isinstance(body, dict) else None
    _judged(operation, answer.status_code, code)


def _judged(operation: str, status: object, code: object) -> NoReturn:
    number = status if isinstance(status, int) else 0
    known = int(code) if isinstance(code, int | str) and str(code).isdecimal() else number
    told = (number, known)
    if number == THROTTLED:
        raise NotDoneError(operation, f"was throttled ({number}, code {known})", *told) from None
    if 400 <= number < 500:
        raise RefusedError(operation, f"was refused ({number}, code {known})", *told) from None
    raise InDoubtError(operation, f"failed at Twilio ({number}, code {known})", *told) from None


# --- the wire -------------------------------------------------------------------------------


class _NotSentError(Exception):
    """No connection: Twilio never saw the request."""


class _LostError(Exception):
    """The connection broke, or the answer is unusable."""


class _Http(AsyncHttpClient):  # type: ignore[misc]
    """The package's own keeps the last request, logs all of them and waits for ever."""

    def __init__(self, url: str | None) -> None:
        super().__init__(logging.getLogger("twilio"), True)
        self._redirected_to = urlsplit(url) if url else None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=CONNECT_WITHIN_S, sock_connect=CONNECT_WITHIN_S
            ),
            auto_decompress=True,
        )

    async def close(self) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the caller's deadline holds
        allow_redirects: bool = False,
    ) -> Response:
        try:
            async with self._session.request(
                method,
                self._address(url),
                params=params,
                data=data,
                headers={**(headers or {}), **_credentials(auth)},
                allow_redirects=False,
            ) as answer:
                return Response(answer.status, await _text(answer), answer.headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _NotSentError(type(error).__name__) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _LostError(type(error).__name__) from None

    def _address(self, url: str) -> str:
        there = self._redirected_to
        if there is None:
            return url
        return urlunsplit(urlsplit(url)._replace(scheme=there.scheme, netloc=there.netloc))


def _credentials(auth: tuple[str, str] | None) -> dict[str, str]:
    if auth is None:
        return {}
    encoded = base64.b64encode(":".join(auth).encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


async def _text(answer: aiohttp.ClientResponse) -> str:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise _LostError("too long")
    return body.decode("utf-8", "replace")
