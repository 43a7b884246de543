"""Whatever is logged, and by whom, nothing private reaches the line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge.config import LogSettings
from bridge.logs import MAX_VALUE_CHARS, REDACTED, Redactor, configure_logs

KEY = "known-secret-of-ours"
CALL = "CA00000000000000000000001234567890"


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines logged in a test, parsed; puts the process's logging back afterwards."""
    root = logging.getLogger()
    before = root.handlers, root.level
    stream = io.StringIO()
    configure_logs(LogSettings("info", "json"), [SecretStr(KEY)], stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = before
    structlog.reset_defaults()


def test_a_line_names_event_logger_level_time_and_what_was_bound(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    structlog.get_logger("bridge.test").bind(call_sid=CALL).info("barge_in", heard_ms=420)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "call_sid": CALL,
        "event": "barge_in",
        "heard_ms": 420,
        "level": "info",
        "logger": "bridge.test",
    }


def test_two_calls_do_not_share_what_is_bound(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    log = structlog.get_logger("bridge.test")
    first, second = log.bind(call_sid="CA1"), log.bind(call_sid="CA2")
    first.info("a")
    second.info("b")
    log.info("c")
    assert [line.get("call_sid") for line in lines()] == ["CA1", "CA2", None]


def test_below_the_level_nothing_is_logged(lines: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger("bridge.test").debug("detail")
    logging.getLogger("picows").debug("detail")
    assert lines() == []


def test_the_standard_library_is_redacted_too(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    logging.getLogger("uvicorn.error").warning("from %s with %s", "+1 555 010 0199", KEY)
    (line,) = lines()
    assert (line["event"], line["logger"]) == (f"from …99 with {REDACTED}", "uvicorn.error")


def test_an_access_log_is_never_written(lines: Callable[[], list[dict[str, Any]]]) -> None:
    logging.getLogger("uvicorn.access").info("POST /after/a-token")
    assert lines() == []


def test_a_traceback_is_redacted_and_shows_no_variables(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    def fail(words: str) -> None:
        raise ValueError(f"call back +15550100199, key {KEY}, {len(words)} words")

    try:
        fail("my leg hurts")
    except ValueError:
        structlog.get_logger("bridge.test").exception("failed")
    (line,) = lines()
    assert f"ValueError: call back …99, key {REDACTED}, 12 words" in line["exception"]
    assert "my leg hurts" not in line["exception"].replace('fail("my leg hurts")', "")


@pytest.mark.parametrize("format_", ["json", "console"])
def test_both_formats_redact(format_: Any) -> None:  # noqa: ANN401 - a literal
    root = logging.getLogger()
    before = root.handlers, root.level
    stream = io.StringIO()
    configure_logs(LogSettings("info", format_), [SecretStr(KEY)], stream)
    structlog.get_logger("bridge.test").error(
        "oops", note=KEY, payload="AAAA", caller="+15550100199"
    )
    root.handlers, root.level = before
    structlog.reset_defaults()
    text = stream.getvalue()
    assert "oops" in text
    assert not any(private in text for private in (KEY, "AAAA", "5550100199"))


PRIVATE = {
    "audio": ("payload", "//79/w==", REDACTED),
    "words": ("transcript", "my leg hurts", REDACTED),
    "tool arguments": ("arguments", '{"name": "Ada"}', REDACTED),
    "a key pressed": ("digit", "7", REDACTED),
    "a key pressed, as a number": ("digit", 7, REDACTED),
    "a header": ("Authorization", "Bearer abc", REDACTED),
    "a signature": ("x_twilio_signature", "abc=", REDACTED),
    "a stream token": ("stream_token", "abc", REDACTED),
    "a number by its key": ("from_number", "+15550100199", "…99"),
    "an anonymous caller": ("from", "anonymous", REDACTED),
    "a number as an integer": ("callback", 15550100199, "…99"),
    "a number in words": ("note", "call 555-010-0199 now", "call …99 now"),
    "a number in brackets": ("note", "(555) 010-0199", "…99"),
    "a number without marks": ("note", "reach 5550100199", "reach …99"),
    "an OpenAI key": ("note", "used sk-proj-abcdefgh12", f"used {REDACTED}"),
    "a bearer": ("note", "Bearer abcdefgh12", REDACTED),
    "a Twilio token": ("note", "0123456789abcdef0123456789abcdef", REDACTED),
    "a password in an address": ("url", "postgres://u:p@db/x", f"postgres:{REDACTED}db/x"),
    "bytes": ("blob", b"AAAA", REDACTED),
    "nested": (
        "detail",
        {"ok": 1, "items": [{"text": "hello"}, ("+15550100199",)]},
        {"ok": 1, "items": [{"text": REDACTED}, ["…99"]]},
    ),
    "an object that shows itself": ("error", ValueError("to +15550100199"), "to …99"),
    "endless": ("note", "a" * 5000, "a" * MAX_VALUE_CHARS + "…"),
}
PUBLIC = {
    "a call": ("call_sid", CALL),
    "a stream": ("stream_sid", "MZ" + "1" * 32),
    "milliseconds": ("heard_ms", 15_550_100_199),
    "a moment": ("at", "2026-11-21T03:32:10.123456Z"),
    "an address": ("peer", "127.0.0.1:54321"),
    "a count of tokens": ("tokens_out", 1200),
    "nothing": ("payload", None),
    "a flag": ("transcript", True),
    "a version": ("version", "26.1.0"),
}


@pytest.mark.parametrize(("key", "value", "shown"), PRIVATE.values(), ids=PRIVATE.keys())
def test_private_values_are_taken_out(key: str, value: object, shown: object) -> None:
    assert Redactor()(None, "info", {key: value}) == {key: shown}


@pytest.mark.parametrize(("key", "value"), PUBLIC.values(), ids=PUBLIC.keys())
def test_what_an_operator_needs_stays(key: str, value: object) -> None:
    assert Redactor()(None, "info", {key: value}) == {key: value}


VALUES = st.recursive(
    st.text() | st.integers() | st.binary() | st.none() | st.just(f"x{KEY}y"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(event=st.dictionaries(st.text(min_size=1), VALUES))
def test_a_known_secret_leaves_in_no_shape(event: dict[str, Any]) -> None:
    redacted = Redactor([SecretStr(KEY)])(None, "info", event)
    assert KEY not in repr({key: value for key, value in redacted.items() if KEY not in key})
    json.dumps(redacted)


@given(
    before=st.sampled_from(["", "to ", "(", "caller=", '"']),
    digits=st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True),
    after=st.sampled_from(["", " now", ")", ".", ",", '"']),
)
def test_an_e164_number_leaves_only_two_digits(before: str, digits: str, after: str) -> None:
    assert Redactor().text(before + digits + after) == f"{before}…{digits[-2:]}{after}"
