"""Encryption at rest of what people said and of who they are; optional, with keys that rotate.

A stored value is plain, or ``enc:<fingerprint>:<Fernet token>``. Plain text that happens to look
like one of our own prefixes is stored behind ``raw:``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr

from bridge.errors import ConfigurationError

ENCRYPTED = "enc:"
_RAW = "raw:"
_NOT_IN_A_NUMBER = re.compile(r"[\s().-]+")


class UnreadableDataError(ConfigurationError):
    """A stored value was written with a key that DATA_KEYS does not hold."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__([f"DATA_KEYS lacks the key {fingerprint}, which wrote a stored value"])


class DataCipher:
    """The first key writes, all of them read; without any, values are stored as they are.

    Raises ConfigurationError for a key that is none.
    """

    def __init__(self, keys: Sequence[SecretStr] = ()) -> None:
        self._fernets = {fingerprint(key): _fernet(at, key) for at, key in enumerate(keys, 1)}
        self.writes_with: str | None = next(iter(self._fernets), None)

    def encrypt(self, text: str) -> str:
        """NUL characters and lone surrogates, which no database takes, become U+FFFD."""
        data = text.replace("\x00", "\ufffd").encode("utf-8", "replace")
        if self.writes_with is None:
            plain = data.decode()
            return f"{_RAW}{plain}" if plain.startswith((ENCRYPTED, _RAW)) else plain
        token = self._fernets[self.writes_with].encrypt(data).decode()
        return f"{ENCRYPTED}{self.writes_with}:{token}"

    def decrypt(self, stored: str) -> str:
        """Raises UnreadableDataError where the key that wrote it is not held."""
        if stored.startswith(_RAW):
            return stored[len(_RAW) :]
        if not stored.startswith(ENCRYPTED):
            return stored
        name, _, token = stored[len(ENCRYPTED) :].partition(":")
        fernet = self._fernets.get(name)
        if fernet is None:
            raise UnreadableDataError(name)
        try:
            return fernet.decrypt(token.encode()).decode()
        except InvalidToken:
            raise UnreadableDataError(name) from None

    def is_current(self, stored: str) -> bool:
        """Whether it is stored as it would be stored now."""
        if self.writes_with is None:
            return not stored.startswith(ENCRYPTED)
        return stored.startswith(f"{ENCRYPTED}{self.writes_with}:")

    def encrypt_json(self, value: object) -> str:
        return self.encrypt(orjson.dumps(value).decode())

    def decrypt_json(self, stored: str) -> Any:  # noqa: ANN401 - whatever was stored
        return orjson.loads(self.decrypt(stored))


def fingerprint(key: SecretStr) -> str:
    """A name of the key that tells nothing about it."""
    return hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:12]


def _fernet(position: int, key: SecretStr) -> Fernet:
    try:
        return Fernet(key.get_secret_value())
    except ValueError:
        raise ConfigurationError(
            [f"DATA_KEYS: key {position} is not 32 bytes in URL-safe base64 (44 characters)"]
        ) from None


class NumberHash:
    """Finds a caller's calls without storing the number in the clear: HMAC-SHA256."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, number: str) -> str:
        return hmac.new(self._key, normalised(number).encode(), hashlib.sha256).hexdigest()


def normalised(number: str) -> str:
    """``+1 (555) 010-0001`` and ``+15550100001`` are one number; other addresses stay."""
    text = number.strip()
    return _NOT_IN_A_NUMBER.sub("", text) if text.startswith("+") else text
