"""Who is calling, as one spelling of one number; and whether that is a number at all."""

from __future__ import annotations

import re

_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SIP = re.compile(r"sips?:([^@;]+)", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[\s().\-\u2010-\u2015]")
_NOBODY = {"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"}
"""What Twilio sends for anonymous, restricted, blocked, unknown and unavailable callers: the words
on a telephone's keys."""


def caller_number(given: str) -> str | None:
    """In E.164, or None for whoever shows no number: anonymous, withheld, malformed."""
    sip = _SIP.match(given.strip())
    number = _PUNCTUATION.sub("", sip.group(1) if sip else given)
    if number.startswith("00"):
        number = "+" + number[2:]
    if not _E164.fullmatch(number) or number in _NOBODY:
        return None
    return number
