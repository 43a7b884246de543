"""How loud audio is, in dBFS: the RMS against the largest amplitude that 16 bits can hold.

0 dBFS is the RMS of a full-scale square wave, so a full-scale sine is at -3.01 dBFS (the convention
of sox's "RMS lev dB"). Digital silence, and no audio at all, is minus infinity: it compares below
every threshold. A frame of 20 ms takes around a microsecond.
"""

from __future__ import annotations

import math

from ._audioop import audioop
from .g711 import BytesLike, require_whole_samples

# audioop.rms returns an integer. Measured on 32-bit samples it keeps 16 bits below the point,
# which quiet frames need: their RMS is a handful of steps.
_FULL_SCALE = 2**31


def level_dbfs(pcm16: BytesLike) -> float:
    """RMS level of PCM16. Half a sample is a ValueError."""
    require_whole_samples(pcm16)
    return _dbfs(audioop.rms(audioop.lin2lin(pcm16, 2, 4), 4))


def ulaw_level_dbfs(ulaw: BytesLike) -> float:
    """RMS level of mu-law audio."""
    return _dbfs(audioop.rms(audioop.ulaw2lin(ulaw, 4), 4))


def alaw_level_dbfs(alaw: BytesLike) -> float:
    """RMS level of A-law audio. Its silence (code 0xD5) is not zero and reads -72.25 dBFS."""
    return _dbfs(audioop.rms(audioop.alaw2lin(alaw, 4), 4))


def _dbfs(rms: int) -> float:
    return 20 * math.log10(rms / _FULL_SCALE) if rms else -math.inf
