"""The simulated model's voice: the recorded lines, without the silence they begin with.

How long an answer is silent at first is the latency profile's business; a cached line has none.
"""

from __future__ import annotations

from functools import cache

from audiocodecs import ULAW_FRAME_BYTES
from loadtest.realtime import LineLibrary, assistant_lines
from loadtest.realtime.formats import AudioFormat
from loadtest.realtime.lines import Line
from loadtest.twilio.audio import is_audible

KEPT_FRAMES = 2
"""40 ms before the first audible frame: the quiet beginning of its first sound."""


@cache
def demo_lines() -> LineLibrary:
    """Every line that is shipped, by name."""
    shipped = assistant_lines()
    return LineLibrary(
        {
            name: Line(name, shipped.text(name), trimmed(shipped.audio(name, AudioFormat.PCMU)))
            for name in shipped.names
        }
    )


def spoken(text: str) -> bytes | None:
    """The line with these words, 8 kHz mu-law; None where it was never recorded."""
    lines = demo_lines()
    named = next((name for name in sorted(lines.names) if lines.text(name) == text), None)
    return None if named is None else lines.audio(named, AudioFormat.PCMU)


def trimmed(ulaw: bytes) -> bytes:
    """From just before the first audible frame on."""
    for start in range(0, len(ulaw), ULAW_FRAME_BYTES):
        if is_audible(ulaw[start : start + ULAW_FRAME_BYTES]):
            return ulaw[max(0, start - KEPT_FRAMES * ULAW_FRAME_BYTES) :]
    return ulaw
