"""What every test may ask for."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.oracle_openai import OpenAIOracle

# A shell that starts the tests in the background has Ctrl-C ignored, by every program they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more about the machine than about the code.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def openai_oracle() -> OpenAIOracle:
    """Judges Realtime messages by the ``openai`` package's own types."""
    return OpenAIOracle()
