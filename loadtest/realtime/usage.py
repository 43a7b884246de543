"""Tokens of a response and what is left of the rate limits, by the documented rates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .conversation import Conversation, Item

USER_MS_PER_TOKEN = 100
ASSISTANT_MS_PER_TOKEN = 50
CHARS_PER_TOKEN = 4
"""An approximation: English text is around four characters a token."""
CACHE_STEP = 64
"""Cached tokens are counted in multiples of this."""


def text_tokens(text: str) -> int:
    return math.ceil(len(text) / CHARS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Tokens:
    text: int = 0
    audio: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.text + other.text, self.audio + other.audio)

    @property
    def total(self) -> int:
        return self.text + self.audio


def item_tokens(item: Item) -> Tokens:
    """What an item adds to the input of every later response."""
    if item.role == "user" and item.audio_ms:
        return Tokens(audio=math.ceil(item.audio_ms / USER_MS_PER_TOKEN))
    if item.is_assistant_audio:
        return Tokens(text_tokens(item.text), math.ceil(item.audio_ms / ASSISTANT_MS_PER_TOKEN))
    return Tokens(text_tokens(item.text))


class UsageMeter:
    """Counts responses of one session; remembers what the cache has seen."""

    def __init__(self) -> None:
        self._prompt = ""
        self._seen = Tokens()

    def input_tokens(
        self, conversation: Conversation, instructions: str, tools: list[dict[str, Any]]
    ) -> tuple[Tokens, Tokens]:
        """All input of a response that starts now, and the part of it that comes from the cache.

        The cache is a prefix: a change of instructions or tools makes everything new.
        """
        prompt = instructions + json.dumps(tools, sort_keys=True)
        items = Tokens(text_tokens(prompt))
        for item in conversation:
            items += item_tokens(item)
        cached = _cached(self._seen, items) if prompt == self._prompt else Tokens()
        self._prompt, self._seen = prompt, items
        return items, cached


def _cached(seen: Tokens, now: Tokens) -> Tokens:
    common = Tokens(min(seen.text, now.text), min(seen.audio, now.audio))
    text = common.text // CACHE_STEP * CACHE_STEP
    return Tokens(text, common.audio // CACHE_STEP * CACHE_STEP)


def usage_to_wire(heard: Tokens, cached: Tokens, made: Tokens) -> dict[str, Any]:
    """The ``usage`` object; ``cached`` is a subset of ``heard``."""
    return {
        "total_tokens": heard.total + made.total,
        "input_tokens": heard.total,
        "output_tokens": made.total,
        "input_token_details": {
            "text_tokens": heard.text,
            "audio_tokens": heard.audio,
            "image_tokens": 0,
            "cached_tokens": cached.total,
            "cached_tokens_details": {
                "text_tokens": cached.text,
                "audio_tokens": cached.audio,
                "image_tokens": 0,
            },
        },
        "output_token_details": {"text_tokens": made.text, "audio_tokens": made.audio},
    }


def output_tokens(items: Iterable[Item]) -> Tokens:
    """What a response generated, heard or not."""
    made = Tokens()
    for item in items:
        made += Tokens(
            text_tokens(item.text), math.ceil(item.generated_ms / ASSISTANT_MS_PER_TOKEN)
        )
    return made


class RateLimits:
    """Two buckets that refill within a minute (tier 3 of the 2.x models: 5,000 and 800,000)."""

    def __init__(self, requests: int = 5_000, tokens: int = 800_000) -> None:
        self._limits: Mapping[str, int] = {"requests": requests, "tokens": tokens}
        self._spent = {"requests": 0.0, "tokens": 0.0}
        self._at_s: float | None = None

    def spend(self, tokens: int, now: float) -> list[dict[str, Any]]:
        """Take one request of so many tokens at ``now`` (seconds); returns the ``rate_limits``."""
        elapsed_s = 0.0 if self._at_s is None else now - self._at_s
        self._at_s = now
        for name, amount in (("requests", 1), ("tokens", tokens)):
            refilled = self._spent[name] - self._limits[name] * elapsed_s / 60
            self._spent[name] = max(0.0, refilled) + amount
        return [
            {
                "name": name,
                "limit": limit,
                "remaining": max(0, int(limit - self._spent[name])),
                "reset_seconds": round(self._spent[name] / limit * 60, 3),
            }
            for name, limit in self._limits.items()
        ]
