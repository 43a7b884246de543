"""What was sent to the caller, what of it was heard, and where to cut when the caller interrupts.

Twilio plays what it gets in order and echoes a mark when it reaches it. A mark before the first
audio of an item says that the item begins to play; one behind each delta says how far it got.
Between marks the position is the last mark plus the time since, never more than was sent. After a
clear Twilio echoes all pending marks although nothing was heard: every mark carries an epoch, and
a clear begins a new one.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.protocol.twilio_stream import BYTES_PER_MS, MarkRef, mark_name


@dataclass(slots=True)
class _Item:
    item_id: str
    content_index: int
    sent_bytes: int = 0
    acknowledged_ms: int = -1
    """-1 until the item's opening mark came back."""
    acknowledged_at: float = 0.0
    generated: bool = False
    """The model will send no more audio for it."""

    @property
    def sent_ms(self) -> int:
        return self.sent_bytes // BYTES_PER_MS

    @property
    def finished(self) -> bool:
        return self.generated and self.acknowledged_ms >= self.sent_ms

    def heard_ms(self, now: float) -> int:
        if self.acknowledged_ms < 0:
            return 0
        since_ms = round((now - self.acknowledged_at) * 1000)
        return min(self.acknowledged_ms + max(since_ms, 0), self.sent_ms)


@dataclass(frozen=True, slots=True)
class Cut:
    """An item the caller interrupted, and how much of it was heard (0: none of it)."""

    item_id: str
    content_index: int
    heard_ms: int
    sent_ms: int


class Playback:
    """Per audio item: sent, heard, cut.

    Times are seconds of the caller's clock, positions milliseconds.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._items: dict[str, _Item] = {}

    @property
    def pending(self) -> bool:
        """Whether audio was sent that no mark has confirmed as heard."""
        return any(item.acknowledged_ms < item.sent_ms for item in self._items.values())

    @property
    def finished(self) -> bool:
        """Whether all there will be of every item was heard."""
        return all(item.finished for item in self._items.values())

    def sent(self, item_id: str, content_index: int, byte_count: int) -> tuple[str | None, str]:
        """Count audio about to be sent.

        The names of the marks to send before (if any) and after it.
        """
        item = self._items.get(item_id)
        opening: str | None = None
        if item is None:
            self._forget_finished()
            item = self._items[item_id] = _Item(item_id, content_index)
            opening = mark_name(self._epoch, item_id, 0)
        item.sent_bytes += byte_count
        return opening, mark_name(self._epoch, item_id, item.sent_ms)

    def generated(self, item_id: str) -> None:
        """The model has sent the last audio of this item."""
        item = self._items.get(item_id)
        if item is not None:
            item.generated = True

    def all_generated(self) -> list[str]:
        """Nothing more comes of any item. Which there are."""
        for item in self._items.values():
            item.generated = True
        return list(self._items)

    def reached(self, mark: MarkRef, now: float) -> bool:
        """A mark came back. False if it is from before the last clear, or of an unknown item."""
        item = self._items.get(mark.item_id)
        if mark.epoch != self._epoch or item is None:
            return False
        if mark.heard_ms > item.acknowledged_ms:
            item.acknowledged_ms = min(mark.heard_ms, item.sent_ms)
            item.acknowledged_at = now
        return True

    def heard_ms(self, item_id: str, now: float) -> int:
        item = self._items.get(item_id)
        return 0 if item is None else item.heard_ms(now)

    def sent_ms(self, item_id: str) -> int:
        item = self._items.get(item_id)
        return 0 if item is None else item.sent_ms

    def remaining_ms(self, now: float) -> int:
        """Audio sent and not yet heard, as an upper bound: what is still to be played out."""
        return sum(item.sent_ms - item.heard_ms(now) for item in self._items.values())

    def interrupt(self, now: float) -> list[Cut]:
        """Begin a new epoch: everything not yet heard is lost. The items that it cuts, in order."""
        cuts = [
            Cut(item.item_id, item.content_index, item.heard_ms(now), item.sent_ms)
            for item in self._items.values()
            if not item.finished
        ]
        self._epoch += 1
        self._items.clear()
        return cuts

    def _forget_finished(self) -> None:
        for item_id in [key for key, item in self._items.items() if item.finished]:
            del self._items[item_id]
