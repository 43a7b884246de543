"""Whether an operator's command brings the token of those who serve, without the token itself."""

from __future__ import annotations

import hashlib
import hmac
import secrets

SALT_BYTES = 16
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
"""Some 50 ms: nobody tries many tokens against what stands in a database."""


def locked(token: str) -> str:
    """What is published of a token; another each time."""
    salt = secrets.token_bytes(SALT_BYTES)
    return f"{salt.hex()}${_digest(token, salt).hex()}"


def opens(token: str, lock: str) -> bool:
    """Whether ``lock`` was made of ``token``."""
    salt, _, digest = lock.partition("$")
    try:
        return hmac.compare_digest(_digest(token, bytes.fromhex(salt)), bytes.fromhex(digest))
    except ValueError:
        return False


def _digest(token: str, salt: bytes) -> bytes:
    return hashlib.scrypt(token.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL)
