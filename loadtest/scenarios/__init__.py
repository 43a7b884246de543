"""Callers described in TOML files: who calls, what they say and do, who answers behind the bridge.

The files beside this module come with the package; ``load`` reads any other. Unknown keys are
errors.
"""

from loadtest.scenarios.reading import Scenario, ScenarioError, load, packaged, packaged_names

__all__ = ["Scenario", "ScenarioError", "load", "packaged", "packaged_names"]
