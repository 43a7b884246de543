"""Faults at every step of many short calls through real serving processes, drawn from a seed.

``triage-bridge chaos`` runs it. A call's faults depend on the seed and its number alone, so that a
call can be run again by itself.
"""
