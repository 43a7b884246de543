"""Structured logs in which nothing private can stand: audio, words, digits, numbers and secrets.

Loggers are bound by hand, one for each call (``log.bind(call_sid=...)``): a call is served from
socket callbacks, where context variables belong to whoever connected first. The standard library's
logging (uvicorn, picows) goes through the same redaction.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TextIO

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge.config import LogSettings

REDACTED = "[redacted]"
MAX_VALUE_CHARS = 2000
MAX_DEPTH = 6

_SECRET_KEY = re.compile(
    r"secret|password|authorization|signature|cookie|credential|api_key|(?:^|_)token$",
    re.IGNORECASE,
)
_PRIVATE_KEY = re.compile(
    r"^(payload|audio|delta|transcript|text|words|utterance|instructions|arguments|summary|digits?"
    r"|slots?|envelope|attributes|body|form|greeting|speech|name|address|email)$",
    re.IGNORECASE,
)
_PHONE_KEY = re.compile(
    r"phone|^(from|to|caller|called|callback|ani|dnis)$|(?:^|_)number$", re.IGNORECASE
)

_SECRET_VALUE = re.compile(
    r"\bsk-[\w-]{8,}"
    r"|\b(?:Bearer|Basic)\s+[\w+/=.-]{8,}"
    r"|(?<![0-9A-Za-z])[0-9a-f]{32}(?![0-9A-Za-z])"  # a Twilio token; SIDs have letters before
    r"|//[^/\s:@]+:[^/\s@]+@",
    re.IGNORECASE,
)
_PHONE_VALUE = re.compile(
    r"(?<![\w.:+-])(?:\+\d[\d ().-]{5,20}\d|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}|\d{10,15})(?![\w:-])"
)


class Redactor:
    """A structlog processor: takes out what a key's name or a value's look gives away as private.

    ``secrets`` are values that are known to be secret, wherever they turn up.
    """

    def __init__(self, secrets: Collection[SecretStr] = ()) -> None:
        known = {secret.get_secret_value() for secret in secrets} - {""}
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {key: self.value(key, value) for key, value in event.items()}

    def value(self, key: str, value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - whatever is logged
        if value is None or isinstance(value, bool):
            return value
        if _SECRET_KEY.search(key) or _PRIVATE_KEY.match(key):
            return REDACTED
        if _PHONE_KEY.search(key):
            return last_two(str(value))
        if isinstance(value, int | float):
            return value
        return self._shaped(key, value, depth)

    def _shaped(self, key: str, value: Any, depth: int) -> Any:  # noqa: ANN401
        if depth >= MAX_DEPTH or isinstance(value, bytes | bytearray | memoryview):
            return REDACTED
        if isinstance(value, Mapping):
            return {str(k): self.value(str(k), v, depth + 1) for k, v in value.items()}
        if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
            return [self.value(key, item, depth + 1) for item in value]
        return self.text(str(value))

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        text = _SECRET_VALUE.sub(REDACTED, text)
        text = _PHONE_VALUE.sub(lambda found: last_two(found.group()), text)
        return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "…"


def last_two(number: str) -> str:
    """A telephone number by its last two digits, enough to tell two callers apart in a log."""
    digits = [char for char in number if char.isdigit()]
    return "…" + "".join(digits[-2:]) if len(digits) > 4 else REDACTED


def configure_logs(
    settings: LogSettings, secrets: Collection[SecretStr] = (), stream: TextIO | None = None
) -> None:
    """Send structlog and the standard library's logging, redacted, to ``stream`` (stderr).

    Called once by a program; changes logging for the whole process.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=_rendering(settings, Redactor(secrets)),
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "picows"):
        library = logging.getLogger(name)
        library.handlers, library.propagate = [], True
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL)


def _rendering(settings: LogSettings, redactor: Redactor) -> list[Processor]:
    """A traceback becomes text before the redaction, never after it, and never shows variables."""
    if settings.format == "console":
        renderer: Processor = structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer()
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redactor,
        renderer,
    ]
