"""Who is calling, as one spelling of one number; and whether that is a number at all."""

from __future__ import annotations

import re

from dispatch.context import WITHHELD

_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SIP = re.compile(r"sips?:([^@;]+)", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[\s().\-\u2010-\u2015]")


def caller_number(given: str) -> str | None:
    """In E.164, or None for whoever shows no number: anonymous, withheld, malformed."""
    sip = _SIP.match(given.strip())
    number = _PUNCTUATION.sub("", sip.group(1) if sip else given)
    if number.startswith("00"):
        number = "+" + number[2:]
    if not _E164.fullmatch(number) or number in WITHHELD:
        return None
    return number
