"""What every test may ask for."""

from __future__ import annotations

import pytest

from tests.oracle_openai import OpenAIOracle


@pytest.fixture(scope="session")
def openai_oracle() -> OpenAIOracle:
    """Judges Realtime messages by the ``openai`` package's own types."""
    return OpenAIOracle()
