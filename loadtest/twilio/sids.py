"""Twilio's identifiers: two letters and 32 hexadecimal digits. Randomness comes in."""

from __future__ import annotations

import random
import re

ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
WORKFLOW_SID = re.compile(r"WW[0-9a-fA-F]{32}")
FLOW_SID = re.compile(r"FW[0-9a-fA-F]{32}")


class Sids:
    """Makes identifiers from one random source, so that a seed repeats a run."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def new(self, prefix: str) -> str:
        """For example ``new("CA")``: a call SID."""
        return f"{prefix}{self._rng.getrandbits(128):032x}"
