"""A connection made bad on purpose, to see that the gates notice: late, lossy, without marks."""

from .faults import Degradation, DegradeError, Share, parse_degradation
from .proxy import DegradedOrigins, DegradingProxy, Tampering

__all__ = [
    "Degradation",
    "DegradeError",
    "DegradedOrigins",
    "DegradingProxy",
    "Share",
    "Tampering",
    "parse_degradation",
]
