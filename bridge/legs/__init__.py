"""The sockets of a call: wire to events, effects to wire."""
