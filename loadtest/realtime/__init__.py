"""A simulated OpenAI Realtime server: the GA wire, scripted by scenario files, without a model.

``SimulatedRealtime`` is an async context manager; ``python -m loadtest.realtime`` is the program.
"""

from .callbook import KnownCall
from .controls import SessionControls
from .faults import NO_FAULTS, Cut, FaultPlan
from .latency import PROFILES, LatencyProfile, Spread, profile
from .lines import LineError, LineLibrary, assistant_lines
from .record import (
    ClientFault,
    Ending,
    HeardTurn,
    ResponseRecord,
    SessionRecord,
    TimelineEntry,
    ToolAnswer,
    Truncation,
)
from .scenario import Scenario, ScenarioError
from .scenario_file import load_scenario, parse_scenario, scenario_names
from .server import ConnectionCounts, SimulatedRealtime, SimulatorOptions
from .tap import SessionTap
from .typed import server_event_problems

__all__ = [
    "NO_FAULTS",
    "PROFILES",
    "ClientFault",
    "ConnectionCounts",
    "Cut",
    "Ending",
    "FaultPlan",
    "HeardTurn",
    "KnownCall",
    "LatencyProfile",
    "LineError",
    "LineLibrary",
    "ResponseRecord",
    "Scenario",
    "ScenarioError",
    "SessionControls",
    "SessionRecord",
    "SessionTap",
    "SimulatedRealtime",
    "SimulatorOptions",
    "Spread",
    "TimelineEntry",
    "ToolAnswer",
    "Truncation",
    "assistant_lines",
    "load_scenario",
    "parse_scenario",
    "profile",
    "scenario_names",
    "server_event_problems",
]
