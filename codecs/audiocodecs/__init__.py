"""Telephone audio: G.711, resampling, framing, levels. Knows no socket, no clock and no JSON."""
