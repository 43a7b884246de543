"""How long a call may wait for anything. Every wait of the core has its number here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Seconds unless the name says otherwise. All of them are per call."""

    model_ready_s: float = 5.0
    """Caller on the line, no configured model session: give up."""
    answer_s: float = 5.0
    """Caller stopped speaking, no audio and no tool call: ask again, then give up."""
    hold_after_s: float = 2.5
    """The caller waits for an answer and hears nothing: a cached line says that we are there."""
    hold_when_gone_s: float = 0.2
    """The same when the model turns out to be gone: the caller has been waiting already."""
    reconnect_s: float = 2.0
    """The model is lost in the middle of a call: it must be back by then."""
    max_reconnects: int = 2
    """So often in one call; 0 gives a call up when its model is lost."""
    response_start_s: float = 5.0
    """We asked for a response and the server did not begin one."""
    retry_after_s: float = 1.0
    """A response failed: wait so long before the one retry (rate limits are per moment)."""
    caller_silence_s: float = 10.0
    """After the assistant's speech was played: ask once, then move the call on."""
    speech_s: float = 30.0
    """The caller's line is never silent for so long: say so once, then move the call on."""
    media_stall_s: float = 10.0
    """No caller audio at all though the socket is open: the caller's side is gone."""
    max_call_s: float = 600.0
    undecided_s: float = 120.0
    """No decision by then: the default route, with what is known."""
    max_turns: int = 30
    closing_start_s: float = 2.5
    """The closing line must have begun by then; otherwise the cached one is played, or the call
    moves without any. The same where it stalls before its end."""
    closing_length_s: float = 20.0
    """The longest closing line, from its response's begin to its last audio sent."""
    closing_margin_s: float = 2.0
    """The closing line's terminal mark may be so much later than its audio lasts."""
    max_cancelled_endings: int = 2
    """So often the caller may speak into the closing line and go on talking."""
    digit_gap_s: float = 1.5
    """Keys pressed within this gap belong to one entry."""
