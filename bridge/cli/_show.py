"""One call as a person reads it: what was said and when, what was decided, what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bridge.cli._store import dollars, masked, masked_words, moment, one_line

SPOKEN = {"greeting": "assistant", "assistant_said": "assistant", "caller_said": "caller"}
BEGINNINGS = {"assistant_said": "assistant_speaks", "caller_said": "caller_speaks"}
LEFT_OUT = {"caller_speaks", "caller_stopped", "assistant_speaks", "assistant_heard"}
"""Where sounds begin and end; the words and latencies say it better."""
FIRST_COLUMN = 12


def shown(call: Mapping[str, Any], reveal: bool) -> list[str]:
    """Lines of text."""
    return [
        *_head(call["call"], reveal),
        *_timeline(call, reveal),
        *(line for one in call["decisions"] for line in _decision(one, reveal)),
        *(line for one in call["reports"] for line in _report(one)),
        *(_side_effect(one) for one in call["side_effects"]),
        *(line for one in call["usage"] for line in _usage(one)),
        *(_status(one) for one in call["status_events"]),
    ]


def _head(call: Mapping[str, Any], reveal: bool) -> Iterator[str]:
    caller = masked(call["caller"], reveal) if call["caller"] else "unknown"
    yield f"call {call['call_sid']}"
    yield f"  from {caller} to {one_line(call['called'])}, {call['tenant']}, by {call['entry']}"
    ended = "no end reported"
    if call["ended_at"] is not None:
        seconds = "" if call["duration_s"] is None else f" after {call['duration_s']} s"
        ended = f"{call['end_status']}{seconds}"
    side = "" if call["side"] == "ai" else f", not taken: {call['side_reason']}"
    yield f"  started {moment(call['started_at'])} UTC, {ended}{side}"


def _timeline(call: Mapping[str, Any], reveal: bool) -> Iterator[str]:
    """In the order things began: the caller's words come in after the answer to them."""
    entries = [one for one in call["timeline"] if one["kind"] not in LEFT_OUT]
    begun = _beginnings(call["timeline"])
    moments = [(_begin(one, begun), _entry(one, reveal)) for one in entries]
    moments += [((one["hop"], one["at_ms"]), _turn(one)) for one in call["turns"]]
    for (_, at_ms), (what, text) in sorted(moments, key=lambda one: one[0]):
        yield f"  {at_ms / 1000:8.2f} s  {what:<{FIRST_COLUMN}}  {text}".rstrip()


def _beginnings(timeline: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """When each item began to sound."""
    begun: dict[tuple[str, str], int] = {}
    for one in timeline:
        begun.setdefault((one["kind"], str(one["fields"].get("item"))), one["at_ms"])
    return begun


def _begin(entry: Mapping[str, Any], begun: Mapping[tuple[str, str], int]) -> tuple[int, int]:
    item = str(entry["fields"].get("item"))
    kind = BEGINNINGS.get(entry["kind"], "")
    return entry["hop"], begun.get((kind, item), entry["at_ms"])


def _entry(entry: Mapping[str, Any], reveal: bool) -> tuple[str, str]:
    words = entry["words"]
    if words is not None and entry["kind"] in SPOKEN:
        return SPOKEN[entry["kind"]], masked_words(words, reveal)
    fields = ", ".join(f"{k} {v}" for k, v in entry["fields"].items() if k != "item")
    return entry["kind"], one_line(fields)


def _turn(turn: Mapping[str, Any]) -> tuple[str, str]:
    figures = (
        ("first model audio", turn["first_model_audio_ms"]),
        ("first audio out", turn["first_audio_out_ms"]),
        ("in the bridge", turn["bridge_ms"]),
    )
    known = [f"{name} {value:.0f} ms" for name, value in figures if value is not None]
    tool = ["with a tool"] if turn["used_tool"] else []
    return f"turn {turn['turn']}", ", ".join(known + tool)


def _decision(decision: Mapping[str, Any], reveal: bool) -> Iterator[str]:
    confidence = decision["confidence"]
    how_sure = "" if confidence is None else f", confidence {confidence:.2f}"
    yield (
        f"decision {decision['hop']}: {decision['route']} for {decision['intent'] or 'no intent'}"
        f" ({one_line(decision['reason'])}{how_sure}), {moment(decision['decided_at'])} UTC"
    )
    envelope = decision["envelope"]
    if envelope.get("summary"):
        yield f"  summary: {masked_words(str(envelope['summary']), reveal)}"
    for name, value in dict(envelope.get("slots") or {}).items():
        yield f"  {one_line(name)}: {one_line(str(value)) if reveal else '(captured)'}"
    if envelope.get("missing"):
        yield f"  missing: {one_line(', '.join(map(str, envelope['missing'])))}"


def _report(report: Mapping[str, Any]) -> Iterator[str]:
    step, status = one_line(report["key"]), one_line(report["status"])
    yield f"handover {report['hop']} {step}: {status}, {moment(report['at'])} UTC"


def _side_effect(effect: Mapping[str, Any]) -> str:
    came = one_line(effect["result"] or effect["error"] or "")
    tried = f"{effect['attempts']} attempt{'' if effect['attempts'] == 1 else 's'}"
    return f"{effect['kind']} {effect['state']} after {tried}{f': {came}' if came else ''}"


def _usage(usage: Mapping[str, Any]) -> Iterator[str]:
    cached = usage["cached_text_in"] + usage["cached_audio_in"]
    yield (
        f"used {usage['model']}: {usage['responses']} responses,"
        f" text {usage['text_in']} in and {usage['text_out']} out,"
        f" audio {usage['audio_in']} in and {usage['audio_out']} out,"
        f" of what went in {cached} cached; stream {usage['stream_s']:.1f} s"
    )
    overlap = usage["overlap_ms"]
    if overlap:
        yield f"  the model's socket outlived the stream by {overlap:.0f} ms"
    if usage["entries_lost"]:
        yield f"  {usage['entries_lost']} timeline entries were lost"
    since = f", prices of {usage['prices_from']}" if usage["prices_from"] else ""
    yield (
        f"  cost {dollars(usage['total_usd'])}: model {dollars(usage['model_usd'])},"
        f" transcription {dollars(usage['transcription_usd'])},"
        f" Twilio {dollars(usage['twilio_usd'])}{since}"
    )


def _status(event: Mapping[str, Any]) -> str:
    fields = ", ".join(f"{k} {v}" for k, v in event["fields"].items() if v is not None)
    told = f" ({one_line(fields)})" if fields else ""
    return f"{event['source']} {one_line(event['status'])}{told}, {moment(event['at'])} UTC"
