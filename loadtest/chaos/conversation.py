"""What is said in a chaotic call: by the caller, by the model, and from the bridge's own lines.

Lengths tell them apart at the caller's ear: a question is longer than ``SENTENCE_MS``, the lines
that the bridge plays by itself are shorter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import audiocodecs
from loadtest.chaos.plan import CallPlan
from loadtest.realtime import Scenario, parse_scenario
from loadtest.realtime.lines import Line, LineLibrary
from loadtest.twilio import (
    CallScript,
    Clip,
    HangUp,
    Speak,
    StayOnLine,
    Step,
    WaitFor,
    WaitForStream,
    WaitMs,
    WaitUntilAssistantSilent,
)

INTENTS = ("schedule", "sales", "billing")
LONGEST_CALL_MS = 45_000
SENTENCE_MS = 1400
QUESTION_MS = 1500
CLOSING_MS = 1000
LINE_MS = 400
PATIENCE_MS = 3600
"""A patient caller gives an assistant that fell silent longer than anybody may be left waiting."""


def tone(length_ms: int, hz: int) -> bytes:
    """Audible mu-law, which a voice detector by energy takes for speech."""
    time_s = np.arange(length_ms * 8) / 8000
    wave = (np.sin(2 * np.pi * hz * time_s) * 8000).astype("<i2")
    return audiocodecs.pcm16_to_ulaw(wave.tobytes())


_CLIP = Clip.of(tone(600, 440))


def script(plan: CallPlan, think: WaitFor | None = None) -> CallScript:
    """Two things are said, each when the assistant has finished; then the caller waits.

    ``think``: what the caller waits for before the second.
    """
    steps: list[Step] = [WaitForStream(8000), WaitUntilAssistantSilent(300, 4000), Speak(_CLIP)]
    for fault in plan.faults:
        if fault.kind == "caller_hangs_up":
            steps += [WaitMs(fault.after_ms * 3), HangUp()]
    steps += [
        WaitUntilAssistantSilent(500, 9000),
        WaitMs(PATIENCE_MS if plan.patient else 0),
        *([think] if think else []),
        Speak(_CLIP),
        StayOnLine(30_000),
    ]
    return CallScript(
        steps=tuple(steps),
        from_number=f"+1415555{plan.last_digits}",
        max_call_ms=LONGEST_CALL_MS + (think.max_ms if think else 0),
        record=False,
    )


def repeats(plan: CallPlan) -> frozenset[str]:
    """Webhooks that Twilio sends twice."""
    repeated = any(fault.kind == "webhook_repeated" for fault in plan.faults)
    return frozenset({"voice", "connect action"}) if repeated else frozenset()


def lines() -> LineLibrary:
    """What the model can say."""
    return LineLibrary(
        {
            "ask": Line("ask", "What is it about?", tone(QUESTION_MS, 700)),
            "closing": Line("closing", "One moment.", tone(CLOSING_MS, 550)),
        }
    )


def scenario(index: int) -> Scenario:
    """Asks once, then routes: whatever else is wanted of it as well."""
    arguments = {
        "intent": INTENTS[index % len(INTENTS)],
        "summary": "Wants something.",
        "confidence": 0.9,
        "sentiment": "neutral",
        "language": "en-US",
        "urgency": "normal",
        "slots": {},
    }
    route: dict[str, Any] = {"tool": "route_call", "arguments": arguments}
    steps: list[dict[str, Any]] = [
        {"on": "turn", "turn": 1, "do": [{"say": "ask"}]},
        {"on": "turn", "do": [route]},
        {"on": "tool_output", "do": [{"say": "closing"}]},
        {"on": "otherwise", "do": [route]},
    ]
    return parse_scenario("chaos", {"step": steps})
