"""The vectors: one documented message a file, with the forms of it that are broken.

A test that takes ``from_twilio_vector`` runs once a file of that folder, one that takes
``from_twilio_broken`` once for every broken form; likewise for the other folders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).with_name("vectors")
FOLDERS = ("from_twilio", "to_twilio", "from_model", "to_model")


def _load(folder: str) -> dict[str, dict[str, Any]]:
    files = sorted((VECTORS / folder).glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its vectors, by the names of its arguments."""
    for folder in FOLDERS:
        vectors = _load(folder)
        if f"{folder}_vector" in metafunc.fixturenames:
            metafunc.parametrize(f"{folder}_vector", vectors.values(), ids=vectors.keys())
        if f"{folder}_broken" in metafunc.fixturenames:
            cases = {
                f"{name}-{index}": broken | {"vector": name}
                for name, vector in vectors.items()
                for index, broken in enumerate(vector["broken"])
            }
            metafunc.parametrize(f"{folder}_broken", cases.values(), ids=cases.keys())


@pytest.fixture(scope="session")
def twilio_wires() -> list[dict[str, Any]]:
    """Every documented message of Twilio, as JSON values."""
    return [vector["wire"] for vector in _load("from_twilio").values()]


@pytest.fixture(scope="session")
def model_wires() -> list[dict[str, Any]]:
    """Every server event that we use, as JSON values."""
    return [vector["wire"] for vector in _load("from_model").values()]
