"""Encryption at rest, and the hash by which numbers are found."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge.errors import ConfigurationError
from bridge.store.cipher import DataCipher, NumberHash, UnreadableDataError

OLD, NEW = (SecretStr(Fernet.generate_key().decode()) for _ in range(2))
TEXTS = st.text() | st.sampled_from(["enc:", "raw:", "enc:0123456789ab:x", "raw:enc:", ""])


@given(text=TEXTS, keys=st.sampled_from([(), (NEW,), (NEW, OLD)]))
def test_what_is_stored_is_read_back(text: str, keys: tuple[SecretStr, ...]) -> None:
    cipher = DataCipher(keys)
    readable = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    assert cipher.decrypt(cipher.encrypt(text)) == readable


@given(text=TEXTS)
def test_what_was_stored_without_keys_is_read_with_them(text: str) -> None:
    stored = DataCipher().encrypt(text)
    assert DataCipher([NEW]).decrypt(stored) == DataCipher().decrypt(stored)


def test_an_encrypted_value_does_not_show_what_it_is() -> None:
    assert "burst pipe" not in DataCipher([NEW]).encrypt("a burst pipe")


def test_after_a_rotation_the_first_key_writes_and_both_read() -> None:
    stored = DataCipher([OLD]).encrypt("before")
    rotated = DataCipher([NEW, OLD])
    assert rotated.decrypt(stored) == "before"
    assert DataCipher([NEW]).decrypt(rotated.encrypt("after")) == "after"


def test_a_value_of_a_lost_key_is_named_by_the_keys_fingerprint() -> None:
    stored = DataCipher([OLD]).encrypt("before")
    name = DataCipher([OLD]).writes_with
    with pytest.raises(UnreadableDataError, match=f"DATA_KEYS lacks the key {name}"):
        DataCipher([NEW]).decrypt(stored)


def test_a_damaged_value_is_not_read() -> None:
    cipher = DataCipher([NEW])
    with pytest.raises(UnreadableDataError):
        cipher.decrypt(cipher.encrypt("words")[:-4])


def test_a_key_that_is_none_is_refused_by_its_place() -> None:
    with pytest.raises(ConfigurationError, match="DATA_KEYS: key 2 is not 32 bytes"):
        DataCipher([NEW, SecretStr("secret")])


def test_a_number_has_one_hash_however_it_is_written() -> None:
    number_hash = NumberHash(b"key")
    hashes = {number_hash(n) for n in ("+15550100001", "+1 (555) 010-0001", " +1.555.010.0001 ")}
    assert len(hashes) == 1


def test_hashes_of_numbers_depend_on_the_key_and_on_the_number() -> None:
    numbers = ("+15550100001", "+15550100002", "anonymous")
    hashes = {NumberHash(key)(number) for key in (b"a", b"b") for number in numbers}
    assert len(hashes) == 6
