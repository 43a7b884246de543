"""A tenant, and calls to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from bridge.traffic.rollout import Arrival
from dispatch.policy import TenantPolicy

CALLED = "+14155550100"
NOON = dt.datetime(2026, 11, 23, 20, 0, tzinfo=dt.UTC)
"""A Monday, noon in Los Angeles."""


def policy_of(rollout: dict[str, Any] | None = None, **sections: Any) -> TenantPolicy:  # noqa: ANN401
    return TenantPolicy.model_validate(
        {
            "tenant": "acme",
            "numbers": [CALLED, "+14155550101"],
            "business": {"name": "ACME", "timezone": "America/Los_Angeles"},
            "routes": {"message": {"kind": "voicemail"}},
            "default": {"route": "message"},
            "human": {"route": "message"},
            "intent": [{"name": "billing", "description": "Invoices.", "route": "message"}],
            "rollout": rollout or {},
            **sections,
        }
    )


def arrival_of(caller: str = "+14155550199", **changes: Any) -> Arrival:  # noqa: ANN401
    fields: dict[str, Any] = {
        "call_sid": "CA" + "c" * 32,
        "caller": caller,
        "called": CALLED,
        "at": NOON,
    }
    return Arrival(**(fields | changes))


@pytest.fixture
def make_policy() -> Callable[..., TenantPolicy]:
    return policy_of


@pytest.fixture
def make_arrival() -> Callable[..., Arrival]:
    return arrival_of
