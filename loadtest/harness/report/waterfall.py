"""Where the time of one turn went, from the caller's last audible frame to the answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from loadtest.harness.report.markup import el, listed
from loadtest.harness.report.verdict import milliseconds
from loadtest.harness.result import Waterfall

MOMENTS = {
    "uplink_ms": "last caller frame reaches the model",
    "speech_stopped_ms": "model notices the end of speech",
    "first_model_audio_ms": "model's first audio",
    "first_audio_sent_ms": "first audio reaches Twilio",
    "first_audio_out_ms": "answer is audible",
    "mark_ms": "first mark of the answer reached",
}
"""Fields of ``Waterfall``, and what happened then."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was waited for: it began when the step before it ended."""

    what: str
    start_ms: float
    end_ms: float


def steps_of(turn: Waterfall) -> list[Step]:
    """Known moments in the order they came; a moment before the caller's end is a step as well."""
    known = [
        (float(at), what)
        for field, what in MOMENTS.items()
        if (at := getattr(turn, field)) is not None
    ]
    steps, before = [], turn.caller_end_ms
    for at, what in sorted(known, key=lambda moment: moment[0]):
        steps.append(Step(what, min(before, at), at))
        before = max(before, at)
    return steps


def chosen(turns: Sequence[Waterfall]) -> dict[str, Waterfall]:
    """The median, the 95th percentile and the worst of the answered turns, by nearest rank."""
    answered = ordered(turn for turn in turns if turn.first_audio_out_ms is not None)
    if not answered:
        return {}
    ranks = {"median": 0.5, "p95": 0.95, "worst": 1.0}
    return {name: answered[math.ceil(share * len(answered)) - 1] for name, share in ranks.items()}


def ordered(turns: Iterable[Waterfall]) -> list[Waterfall]:
    """By how long the caller waited; those who heard nothing come last."""
    return sorted(turns, key=lambda turn: (turn.first_audio_out_ms or math.inf, turn.call))


def section(turns: Sequence[Waterfall]) -> list[Element]:
    """A list to choose from, and a table with bars for each turn; without script, three of them."""
    by_wait = ordered(turns)
    numbers = {id(turn): number for number, turn in enumerate(by_wait)}
    best = chosen(turns)
    shown = {numbers[id(turn)] for turn in best.values()} or {0}
    options = [
        el("option", f"{name}: {_told(turn)}", value=numbers[id(turn)])
        for name, turn in best.items()
    ]
    options += [el("option", _told(turn), value=n) for n, turn in enumerate(by_wait)]
    choice = el(
        "p",
        el("label", "Turn ", for_="turn-choice"),
        listed("select", options, id="turn-choice"),
        class_="choice",
        hidden=True,  # report.js shows it
    )
    names = {numbers[id(turn)]: name for name, turn in reversed(best.items())}
    tables = [
        el(
            "div",
            _turn(turn, names.get(number)),
            class_="turn",
            data_turn=number,
            hidden=number not in shown,
        )
        for number, turn in enumerate(by_wait)
    ]
    return [choice, *tables]


def _told(turn: Waterfall) -> str:
    waited = turn.first_audio_out_ms
    heard = "nothing heard" if waited is None else f"{milliseconds(waited)} ms"
    return f"{heard}, {turn.call} turn {turn.turn}"


def _turn(turn: Waterfall, name: str | None) -> Element:
    steps = steps_of(turn)
    low = min([0.0, *(step.start_ms for step in steps)])
    # The mark comes when the answer was heard for a while: its bar would press the others together.
    end = turn.first_audio_out_ms or max([1.0, *(step.end_ms for step in steps)])
    rows = [
        el(
            "tr",
            el("th", step.what, scope="row"),
            el("td", _shown(step.end_ms), class_="number"),
            el("td", f"+{_shown(step.end_ms - step.start_ms)}", class_="number"),
            el("td", _bar(step, low, end) if step.end_ms <= end else None),
        )
        for step in steps
    ]
    heads = ("what happened", "at, ms", "took, ms", "")
    return el(
        "table",
        el("caption", f"{name}: {_told(turn)}" if name else _told(turn)),
        el("thead", listed("tr", (el("th", head, scope="col") for head in heads))),
        listed("tbody", rows),
        class_="waterfall",
    )


def _shown(value_ms: float) -> str:
    return f"{value_ms:,.0f}" if abs(value_ms) >= 100 else f"{value_ms:.1f}"


def _bar(step: Step, low_ms: float, high_ms: float) -> Element:
    """The table's numbers say the same, so the picture is hidden from who hears them."""
    extent = max(high_ms - low_ms, 1.0)
    start, end = (round(1000 * (at - low_ms) / extent) for at in (step.start_ms, step.end_ms))
    rect = el("rect", x=min(start, 997), width=max(3, end - start), height=10)
    return el("svg", rect, viewBox="0 0 1000 10", preserveAspectRatio="none", aria_hidden="true")
