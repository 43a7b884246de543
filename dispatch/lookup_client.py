"""The operator's look-ups carried out: one bounded request, and always an answer for the model.

A service that is slow, gone, talkative or talks nonsense costs its own deadline and no more; the
model then hears in words what went wrong. Values never reach a log: ``LookupAnswer.outcome`` may.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp
from pydantic import SecretStr
from yarl import URL

from dispatch.fitting import dumped, fit_json
from dispatch.lookups import LookupTool
from dispatch.text import clean

AT_ONCE = 64
"""Look-ups of a process under way; further ones wait within their own deadline."""
MAX_REDIRECTS = 3
MAX_BODY_BYTES = 64 * 1024
"""More would cost milliseconds of everybody's audio, and hardly any of it could be kept."""
_FRAME = 60
"""Characters around the result in the model's JSON."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})

_WORDS: Mapping[str, str] = {
    "timeout": "the service did not answer in time",
    "unreachable": "the service cannot be reached",
    "broken_off": "the service broke off its answer",
    "redirected_away": "the service sends us elsewhere, where we do not go",
    "not_found": "the service found nothing for this",
    "refused": "the service refused the question",
    "not_allowed": "the service does not let us in",
    "throttled": "the service is too busy",
    "failed": "the service has a fault",
}
_ADVICE = (
    "; do not invent an answer: tell the caller you cannot look it up right now,"
    " and go on without it"
)


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """``output`` is JSON for the model; ``outcome`` is ``ok`` or one word for what went wrong."""

    output: str
    outcome: str
    cut: bool = False


class _Failed(Exception):  # noqa: N818 - past tense: it happened
    """``outcome`` is a key of _WORDS."""

    def __init__(self, outcome: str) -> None:
        self.outcome = outcome
        super().__init__(outcome)


class LookupClient:
    """Made inside a running loop, used by all calls, closed at the end.

    ``secrets`` are the values behind each tool's ``secret_env``.
    """

    def __init__(self, secrets: Mapping[str, SecretStr], at_once: int = AT_ONCE) -> None:
        self._secrets = secrets
        self._places = asyncio.Semaphore(at_once)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=at_once, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),  # nothing of one call may reach another
        )

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, tool: LookupTool, arguments: Mapping[str, Any]) -> LookupAnswer:
        """The service's answer to arguments that were checked. Never raises for the service."""
        try:
            async with asyncio.timeout(tool.timeout_ms / 1000), self._places:
                body = await self._fetched(tool, arguments)
        except TimeoutError:
            return _problem("timeout")
        except _Failed as failed:
            return _problem(failed.outcome)
        except aiohttp.ClientConnectorError:
            return _problem("unreachable")
        except (aiohttp.ClientError, OSError, ValueError):
            return _problem("broken_off")
        return _result(body, tool.max_result_chars)

    async def _fetched(self, tool: LookupTool, arguments: Mapping[str, Any]) -> str:
        url = tool.address(arguments)
        origin = _origin(urlsplit(tool.url))
        rest = tool.remaining(arguments)
        query = _query(rest) if tool.method == "GET" else None
        body = rest if tool.method == "POST" else None
        method: str = tool.method
        for _ in range(1 + MAX_REDIRECTS):
            async with self._session.request(
                method,
                URL(url, encoded=True),
                params=query,
                json=body,
                headers=self._headers(tool),
                allow_redirects=False,
            ) as answer:
                if answer.status not in _REDIRECTS:
                    return await _body(answer)
                url = _next(url, answer, origin)
                query = None
                if answer.status not in _KEEP_METHOD:
                    method, body = "GET", None
        raise _Failed("redirected_away")

    def _headers(self, tool: LookupTool) -> dict[str, str]:
        headers = {"Accept": "application/json, text/plain;q=0.5", "User-Agent": "triage-bridge"}
        if tool.secret_env is not None:
            headers[tool.secret_header] = self._secrets[tool.secret_env].get_secret_value()
        return headers


# --- the request ----------------------------------------------------------------------------


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def _query(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: text for key, value in values.items() if (text := _in_query(value)) is not None}


def _in_query(value: object) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case dict() | list():
            return dumped(value)
        case _:
            return str(value)


def _next(url: str, answer: aiohttp.ClientResponse, origin: tuple[str, str, int]) -> str:
    """Only on the same scheme, host and port: the secret goes along."""
    following = urljoin(url, answer.headers.get("Location", ""))
    if _origin(urlsplit(following)) != origin:
        raise _Failed("redirected_away")
    return following


# --- the answer -----------------------------------------------------------------------------


async def _body(answer: aiohttp.ClientResponse) -> str:
    """The beginning of it, as text, whatever it calls itself."""
    _check(answer.status)
    body = bytearray()
    async for chunk in answer.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) >= MAX_BODY_BYTES:
            del body[MAX_BODY_BYTES:]
            break
    try:
        return body.decode(answer.charset or "utf-8", "replace")
    except LookupError:  # a charset that nobody knows
        return body.decode("utf-8", "replace")


def _check(status: int) -> None:
    if 200 <= status < 300:
        return
    known = {401: "not_allowed", 403: "not_allowed", 404: "not_found", 410: "not_found"}
    known |= {408: "timeout", 429: "throttled"}
    raise _Failed(known.get(status, "refused" if 400 <= status < 500 else "failed"))


def _result(body: str, limit: int) -> LookupAnswer:
    try:
        value, was_cut = fit_json(_value(body), limit - _FRAME)
    except RecursionError:  # thousands of brackets
        value, was_cut = fit_json(clean(body), limit - _FRAME)
    answer: dict[str, object] = {"ok": True, "result": value}
    if was_cut:
        answer["cut"] = "only the beginning; there is more"
    return LookupAnswer(dumped(answer), "ok", was_cut)


def _value(body: str) -> object:
    """JSON where it is, else the text itself; NaN and the like are not JSON."""
    try:
        return json.loads(body, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return clean(body)


def _not_json(constant: str) -> object:
    raise ValueError(constant)


def _problem(outcome: str) -> LookupAnswer:
    advice = "" if outcome == "not_found" else _ADVICE
    return LookupAnswer(dumped({"ok": False, "problem": _WORDS[outcome] + advice}), outcome)
