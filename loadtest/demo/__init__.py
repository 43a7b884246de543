"""Recorded callers played through a whole system, shown as it happens, judged at the end.

Knows the simulated peers of the bridge, not the bridge: whoever starts one hands its notes in.
"""

from loadtest.demo.calls import DemoCall, Destination, Spoken, call_names, demo_call
from loadtest.demo.player import CallReport, Player
from loadtest.demo.recordings import write_call, write_demo
from loadtest.demo.screen import Screen
from loadtest.demo.summary import show_summary
from loadtest.demo.timeline import Note

__all__ = [
    "CallReport",
    "DemoCall",
    "Destination",
    "Note",
    "Player",
    "Screen",
    "Spoken",
    "call_names",
    "demo_call",
    "show_summary",
    "write_call",
    "write_demo",
]
