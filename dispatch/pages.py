"""The words of a page: what the person on call reads, as a text message and as an e-mail."""

from __future__ import annotations

from collections.abc import Iterator

from dispatch.envelope import Envelope
from dispatch.text import clean, cut

SMS_LIMIT = 480
"""Three text messages of the plain alphabet; longer ones arrive in pieces and late."""
SUBJECT_LIMIT = 120
_TURNS = 20


def page_text(envelope: Envelope) -> str:
    """Most important first: what it is, whom to call, which call it was, what it is about.

    What was said stays out where health care rules forbid it on open channels.
    """
    head = f"{envelope.business}: {_what(envelope)}. Call {_whom(envelope)}. {envelope.reference}."
    if envelope.health_care:
        return cut(clean(head), SMS_LIMIT)
    return cut(clean(f"{head} {envelope.summary}"), SMS_LIMIT)


def page_email(envelope: Envelope) -> tuple[str, str]:
    """Subject and text."""
    subject = f"{_what(envelope)}: {envelope.business}, {envelope.reference}"
    return cut(clean(subject), SUBJECT_LIMIT), "\n".join(_lines(envelope)) + "\n"


def _what(envelope: Envelope) -> str:
    urgent = "" if envelope.urgency in ("normal", "low") else f" ({envelope.urgency})"
    return f"{envelope.intent}{urgent if envelope.urgency != envelope.intent else ''}"


def _whom(envelope: Envelope) -> str:
    number = envelope.callback or "(number withheld)"
    named = envelope.name and not envelope.health_care
    return f"{envelope.name} at {number}" if named else number


def _lines(envelope: Envelope) -> Iterator[str]:
    call = envelope.call
    yield f"What: {_what(envelope)}"
    yield f"Why now: {envelope.reason.replace('_', ' ')}"
    yield f"Call back: {_whom(envelope)}"
    if call.caller_number not in (None, envelope.callback):
        yield f"Called from: {call.caller_number}"
    yield f"Language: {envelope.language}"
    yield f"Reference: {envelope.reference}"
    yield f"When: {envelope.decided_at.isoformat(timespec='seconds')}"
    if envelope.context_url:
        yield f"Full record (expires): {envelope.context_url}"
    if envelope.health_care:
        return
    yield ""
    yield envelope.summary
    said = [turn for turn in call.turns if turn.text.strip()][-_TURNS:]
    if said:
        yield ""
        yield from (f"{turn.speaker}: {clean(turn.text)}" for turn in said)
