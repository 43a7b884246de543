"""Callers described in TOML files: who calls, what they say and do, who answers behind the bridge.

The files beside this module come with the package; ``load`` reads any other. Unknown keys are
errors.
"""

from loadtest.scenarios.line import LineConditions, LineError, parse_conditions
from loadtest.scenarios.reading import (
    PLACES,
    Place,
    Scenario,
    ScenarioError,
    load,
    packaged,
    packaged_names,
    with_noise,
)

__all__ = [
    "PLACES",
    "LineConditions",
    "LineError",
    "Place",
    "Scenario",
    "ScenarioError",
    "load",
    "packaged",
    "packaged_names",
    "parse_conditions",
    "with_noise",
]
