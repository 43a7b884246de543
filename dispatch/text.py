"""Words as data: spoken in the caller's language, cut with a mark, safe for JSON and XML."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

ELLIPSIS = "…"
"""Ends every value that was cut, so that nobody takes a part for the whole."""

# Not allowed in XML 1.0, or invisible to the reader: control characters, surrogates, noncharacters.
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_SPACE = re.compile(r"\s+")
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_ZERO_WIDTH_JOINER = "\u200d"


def clean(text: str) -> str:
    """``text`` on one line, without characters that XML 1.0 or a terminal cannot take."""
    return _SPACE.sub(" ", _UNSAFE.sub(" ", text)).strip()


def cut(text: str, limit: int) -> str:
    """At most ``limit`` UTF-16 units of ``text``; what was cut ends with an ellipsis.

    Prefers the end of a word, and never leaves half an emoji or a letter without its accent.
    """
    if width(text) <= limit:
        return text
    if limit <= 1:
        return ELLIPSIS[:limit]
    kept = _leading(text, limit - 1)
    space = kept.rfind(" ")
    if text[len(kept)] != " " and space > len(kept) * 2 // 3:
        kept = kept[:space]
    return kept.rstrip() + ELLIPSIS


def width(text: str) -> int:
    """Length in UTF-16 units: what a peer written in Java or JavaScript counts as characters."""
    return len(text) + sum(1 for char in text if char > "\uffff")


def _leading(text: str, limit: int) -> str:
    units = 0
    for index, char in enumerate(text):
        units += 2 if char > "\uffff" else 1
        if units > limit:
            return text[: _whole_grapheme(text, index)]
    return text


def _whole_grapheme(text: str, end: int) -> int:
    """Step back from ``end`` while it would part a character from its combining marks."""
    while 0 < end < len(text) and (
        unicodedata.combining(text[end])
        or text[end] in (_ZERO_WIDTH_JOINER, "\ufe0f")
        or text[end - 1] == _ZERO_WIDTH_JOINER
        or "\U0001f3fb" <= text[end] <= "\U0001f3ff"
    ):
        end -= 1
    return end


def language_tag(value: str) -> str:
    """A BCP-47 tag as ``en-US``; ValueError where it is not one."""
    if not _LANGUAGE_TAG.fullmatch(value):
        raise ValueError(f"{value!r} is not a language tag such as 'en-US' or 'es'")
    head, *rest = value.split("-")
    shaped = [part.title() if len(part) == 4 else part.upper() for part in rest]
    return "-".join([head.lower(), *shaped])


LanguageTag = Annotated[str, AfterValidator(language_tag)]

Line = Annotated[str, Field(max_length=1000), AfterValidator(clean)]
Spoken: TypeAlias = Line | dict[LanguageTag, Line]
"""What a caller hears: one text, or one for each language (``{en = "...", es = "..."}``)."""


def in_language(spoken: Spoken, language: str) -> str:
    """The text for ``language``: the exact tag, else the same base language, else the first."""
    return with_tag(spoken, language, default=language)[0]


def with_tag(spoken: Spoken, language: str, default: str) -> tuple[str, str]:
    """The text as by ``in_language`` and the tag of the language it really is in.

    A single text is in the ``default`` language.
    """
    if isinstance(spoken, str):
        return spoken, default
    if language in spoken:
        return spoken[language], language
    base = language.split("-")[0]
    for tag, text in spoken.items():
        if tag.split("-")[0] == base:
            return text, tag
    return next(((text, tag) for tag, text in spoken.items()), ("", default))
