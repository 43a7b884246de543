"""The example tenant, and calls to it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispatch.context import CallContext
from dispatch.policy import TenantPolicy
from dispatch.triagefile import load

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "acme-plumbing.toml"
CORPUS = ROOT.parent / "shared" / "corpus"


@pytest.fixture(scope="session")
def example() -> Path:
    return EXAMPLE


@pytest.fixture(scope="session")
def policy() -> TenantPolicy:
    return load(EXAMPLE).policy


@pytest.fixture(scope="session")
def call() -> Callable[..., CallContext]:
    """Makes a call that came through Studio; every field can be given."""

    def make(**fields: object) -> CallContext:
        usual: dict[str, Any] = {
            "call_sid": "CA1a6fd60a34f639eee11bf9e6b9689441",
            "account_sid": "AC00000000000000000000000000000001",
            "tenant": "acme-plumbing",
            "from_number": "+14158654838",
            "to_number": "+14155550100",
            "entry": "studio",
            "started_at": dt.datetime(2026, 8, 12, 13, 10, tzinfo=dt.UTC),
            "studio_flow": "FW00000000000000000000000000000001",
        }
        usual.update(fields)
        return CallContext(**usual)

    return make


@pytest.fixture(scope="session")
def corpus() -> list[dict[str, Any]]:
    """The spoken calls, where they lie beside the project."""
    file = CORPUS / "calls.jsonl"
    if not file.exists():
        pytest.skip("the corpus is not here")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="session")
def assistant_lines() -> dict[str, str]:
    file = CORPUS / "assistant" / "lines.json"
    if not file.exists():
        pytest.skip("the corpus is not here")
    return {name: line["text"] for name, line in json.loads(file.read_text()).items()}
