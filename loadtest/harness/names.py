"""The names of everything a run can measure, for gates, reports and their readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

FIGURES: Mapping[str, str] = {
    "first_audio_out": "caller's last audible frame (or the end of what the assistant still said) "
    "to the first audible assistant audio",
    "first_model_audio": "model notices the end of speech to its first audio",
    "greeting": "start of the stream to the first audible assistant audio",
    "barge_in": "caller starts over the assistant to silence at the caller's ear",
    "answer_gaps": "the longest silence inside each answer because audio came late (0: none)",
    "uplink": "caller frame sent to its arrival at the model",
    "downlink": "model audio sent to its arrival at the caller",
    "setup": "voice webhook to the start of the stream",
    "handover": "end of the stream to the call's next step",
    "generator_late": "how late this generator sent caller frames",
}
"""Latencies in milliseconds."""

Base: TypeAlias = Literal["calls", "turns", "answers", "barge_ins", "frames"]

COUNTS: Mapping[str, str] = {
    "calls": "calls placed that came to their end",
    "calls_failed": "calls in which the bridge failed: no stream, one that broke, or one that it "
    "closed before the caller heard anything; or its audio met another call's",
    "calls_cut": "calls that the generator ended because its time was over",
    "not_placed": "arrivals for which all places were taken",
    "misrouted": "calls that went elsewhere than their scenario expects, or with another intent",
    "not_routed": "calls with an expectation that were just hung up, or came without an intent",
    "greetings_missing": "calls in which the caller waited for the first words and heard none",
    "turns": "times the caller spoke",
    "unanswered_turns": "times the caller spoke, waited, and heard nothing",
    "barge_ins": "times the caller spoke over the assistant until it was seen what that does",
    "barge_ins_ignored": "times the assistant talked on over the caller for more than 1 s",
    "answers": "times the assistant spoke, between one turn of the caller and the next",
    "unmarked_answers": "answers heard to their end that no mark followed",
    "frames": "caller frames sent",
    "held_frames": "caller frames sent before the model's session was ready for them",
    "lost_frames": "caller frames that the model never got",
    "late_frames": "caller frames more than 100 ms under way",
    "duplicate_frames": "caller frames that the model got more than once",
    "reordered_frames": "caller frames that the model got after a later one",
    "crossed_frames": "frames of a call that came out in another: at its model or its caller's ear",
    "lost_audio_ms": "milliseconds of model audio that never reached the caller",
    "duplicate_audio_ms": "milliseconds of model audio that the caller heard more than once",
    "reordered_audio_ms": "milliseconds of model audio that the caller heard after later audio",
    "clipped_starts": "answers whose first 20 ms or more the caller never heard",
    "clipped_ends": "answers whose last 20 ms or more the caller never heard, unasked",
    "audio_after_end": "answers heard again within 1 s after the caller cut them",
    "notices": "errors and warnings that Twilio would have logged",
    "streams_refused": "media streams that could not be opened",
}
"""Sums over the run."""

SHARE_OF: Mapping[str, Base] = {
    "calls_failed": "calls",
    "calls_cut": "calls",
    "misrouted": "calls",
    "not_routed": "calls",
    "greetings_missing": "calls",
    "unanswered_turns": "turns",
    "barge_ins_ignored": "barge_ins",
    "unmarked_answers": "answers",
    "held_frames": "frames",
    "lost_frames": "frames",
    "late_frames": "frames",
    "duplicate_frames": "frames",
    "reordered_frames": "frames",
    "clipped_starts": "answers",
    "clipped_ends": "answers",
    "audio_after_end": "answers",
    "notices": "calls",
    "streams_refused": "calls",
}
"""What ``NAME.share`` is a share of."""

COUNTED_IN: Mapping[str, Base] = {
    **SHARE_OF,
    "crossed_frames": "frames",
    "lost_audio_ms": "answers",
    "duplicate_audio_ms": "answers",
    "reordered_audio_ms": "answers",
}
"""Where there were none of these, nothing was counted."""
NOT_IN_CUT_CALLS = ("misrouted", "not_routed")
"""A call that the generator ended was still under way to wherever it goes."""
