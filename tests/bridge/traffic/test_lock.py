"""What is published of the admin token opens for it, and for nothing else."""

from __future__ import annotations

import pytest

from bridge.traffic.lock import locked, opens

TOKEN = "made-up-admin-token"


def test_a_lock_opens_for_its_token_and_is_another_each_time() -> None:
    one, other = locked(TOKEN), locked(TOKEN)
    assert one != other
    assert [opens(TOKEN, one), opens(TOKEN, other), opens(TOKEN + "x", one), opens("", one)] == [
        True,
        True,
        False,
        False,
    ]
    assert TOKEN not in one


@pytest.mark.parametrize("broken", ["", "$", "zz$zz", "00", locked(TOKEN)[:-2]])
def test_what_is_no_lock_opens_for_nobody(broken: str) -> None:
    assert not opens(TOKEN, broken)
