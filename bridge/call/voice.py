"""The assistant's voice on the line: what is played, what is cut, what is kept silent."""

from __future__ import annotations

from dataclasses import dataclass

from audiocodecs import base64_length
from bridge.call.effects import Effect
from bridge.call.playback import Cut, Playback
from bridge.protocol.realtime import DeleteItem, TruncateItem
from bridge.protocol.twilio_stream import ClearPlayback, PlayAudio, SendMark

GREETING_ITEM = "greeting"
LINE_ITEM = "line"
LOCAL_ITEMS = (GREETING_ITEM, LINE_ITEM)
"""Items (or how they begin) whose audio came from our cache: the model has none to truncate."""


@dataclass(frozen=True, slots=True)
class CachedLine:
    """A line in the model's voice kept as audio.

    ``payloads`` are base64 mu-law, played in order.
    """

    text: str
    payloads: tuple[str, ...]


class AssistantVoice:
    """Sends audio with its marks, and stops it."""

    def __init__(self) -> None:
        self.playback = Playback()
        self._muted: set[str] = set()
        self._of_lost: set[str] = set()
        self.sent_bytes = 0
        """Of all that was ever played."""

    def play(self, item_id: str, content_index: int, payload: str) -> list[Effect]:
        """Audio with a mark behind it, and one before it where the item begins."""
        try:
            byte_count = base64_length(payload)
        except ValueError:
            byte_count = 0
        if not byte_count:
            return []  # costs this piece only; Twilio takes no empty payload
        self.sent_bytes += byte_count
        opening, closing = self.playback.sent(item_id, content_index, byte_count)
        effects: list[Effect] = [PlayAudio(payload), SendMark(closing)]
        return effects if opening is None else [SendMark(opening), *effects]

    def play_line(self, item_id: str, line: CachedLine) -> list[Effect]:
        effects: list[Effect] = []
        for payload in line.payloads:
            effects += self.play(item_id, 0, payload)
        self.playback.generated(item_id)
        return effects

    def is_muted(self, response_id: str) -> bool:
        return response_id in self._muted

    def mute(self, response_id: str | None) -> None:
        """Late audio of this response must not reach the caller any more."""
        if response_id is not None:
            self._muted.add(response_id)

    def unmute(self, response_id: str) -> None:
        """The response is over; nothing more will come of it."""
        self._muted.discard(response_id)

    def model_lost(self) -> None:
        """No more audio comes of any item, and the next session knows none of them."""
        self._of_lost.update(self.playback.all_generated())

    def interrupt(self, now: float) -> tuple[list[Effect], list[Cut]]:
        """Stop at once what is playing; tell the model what of its items was heard.

        Nothing to do (and nothing sent) when all of every item was heard. An item that the model
        has not ended is cut also where playback ran dry: more of it may be on its way.
        """
        if self.playback.finished:
            return [], []
        effects: list[Effect] = [ClearPlayback()] if self.playback.pending else []
        cuts = self.playback.interrupt(now)
        for cut in cuts:
            if cut.item_id.startswith(LOCAL_ITEMS) or cut.item_id in self._of_lost:
                continue
            # The server refuses to truncate an item to nothing; an item nobody heard is taken out.
            if cut.heard_ms == 0:
                effects.append(DeleteItem(cut.item_id))
            else:
                effects.append(TruncateItem(cut.item_id, cut.content_index, cut.heard_ms))
        return effects, cuts
