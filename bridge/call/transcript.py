"""What was said, in the order it was said, whenever the words arrive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Speaker: TypeAlias = Literal["caller", "assistant"]


@dataclass(slots=True)
class Utterance:
    """One thing somebody said. ``text`` is None until (or unless) words came for it."""

    speaker: Speaker
    item_id: str
    at_ms: int
    text: str | None = None
    heard_fraction: float = 1.0
    whole: bool = False
    """Nothing more will come of ``text``."""


class Transcript:
    """Utterances in the order their audio began. Caller words come late and are keyed by item."""

    def __init__(self) -> None:
        self._by_item: dict[str, Utterance] = {}

    def begin(self, speaker: Speaker, item_id: str, at_ms: int) -> None:
        """Somebody began to speak. Known items keep their place."""
        if item_id not in self._by_item:
            self._by_item[item_id] = Utterance(speaker, item_id, at_ms)

    def words(self, speaker: Speaker, item_id: str, text: str, at_ms: int) -> None:
        """The words of an item arrived, before or after its audio, in whatever order."""
        self.begin(speaker, item_id, at_ms)
        utterance = self._by_item[item_id]
        utterance.text, utterance.whole = text.strip(), True

    def next_words(self, speaker: Speaker, item_id: str, text: str, at_ms: int) -> None:
        """Words of an item as they come. Once it is whole, late ones change nothing."""
        self.begin(speaker, item_id, at_ms)
        utterance = self._by_item[item_id]
        if not utterance.whole:
            utterance.text = f"{utterance.text or ''}{text}"

    def break_off(self) -> list[Utterance]:
        """No more words will come for what is not whole: those that thereby are all there is."""
        broken = [u for u in self._by_item.values() if u.text and not u.whole]
        for utterance in broken:
            self.words(utterance.speaker, utterance.item_id, utterance.text or "", utterance.at_ms)
        return broken

    def has(self, item_id: str) -> bool:
        """Whether somebody was heard to begin this item."""
        return item_id in self._by_item

    def has_words(self, item_id: str) -> bool:
        utterance = self._by_item.get(item_id)
        return utterance is not None and utterance.text is not None

    def cut(self, item_id: str, heard_ms: int, sent_ms: int) -> None:
        """The caller interrupted this item: only a part of it was heard."""
        utterance = self._by_item.get(item_id)
        if utterance is not None and sent_ms > 0:
            utterance.heard_fraction = heard_ms / sent_ms

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        return tuple(self._by_item.values())

    def lines(self) -> list[tuple[Speaker, str]]:
        """What was really said and heard, as words.

        An interrupted line ends where it was cut; one that nobody heard is left out.
        """
        return [
            (u.speaker, heard_words(words, u.heard_fraction))
            for u in self._by_item.values()
            if u.text and (words := u.text.strip()) and u.heard_fraction > 0
        ]


def heard_words(text: str, fraction: float) -> str:
    """The part of ``text`` that was spoken in the first ``fraction`` of its time, cut between
    words.
    """
    if fraction >= 1.0:
        return text
    words = text.split()
    kept = words[: int(len(words) * fraction)]
    return " ".join([*kept, "…"])
