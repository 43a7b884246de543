"""The items of one conversation, as the server keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import refusals

ItemStatus = Literal["in_progress", "completed", "incomplete"]


@dataclass(slots=True)
class Item:
    """One item. ``body`` is the wire object without id, object and status."""

    item_id: str
    body: dict[str, Any]
    status: ItemStatus = "completed"
    audio_ms: int = 0
    """Audio in it: what the caller said, or of the assistant's what is left after truncation."""
    generated_ms: int = 0
    """Assistant audio that was generated, heard or not."""
    truncated: bool = False

    def to_wire(self) -> dict[str, Any]:
        return {
            "id": self.item_id,
            "object": "realtime.item",
            **self.body,
            "status": self.status,
        }

    @property
    def kind(self) -> str:
        return str(self.body["type"])

    @property
    def role(self) -> str | None:
        return self.body.get("role")

    @property
    def is_assistant_audio(self) -> bool:
        return self.role == "assistant" and any(
            part["type"] == "output_audio" for part in self.body["content"]
        )

    @property
    def text(self) -> str:
        """Everything written in it: texts, transcripts, arguments, output."""
        if self.kind == "message":
            parts = self.body["content"]
            return " ".join(part.get("text") or part.get("transcript") or "" for part in parts)
        keys = ("name", "arguments", "output")
        return " ".join(str(self.body[key]) for key in keys if key in self.body)


@dataclass(slots=True)
class Conversation:
    conversation_id: str
    _items: list[Item] = field(default_factory=list)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def find(self, item_id: str) -> Item | None:
        return next((item for item in self._items if item.item_id == item_id), None)

    @property
    def last_id(self) -> str | None:
        return self._items[-1].item_id if self._items else None

    def before(self, item: Item) -> str | None:
        """The id of the item before this one; None at the front or where it is not (any more)."""
        previous = None
        for known in self._items:
            if known is item:
                return previous
            previous = known.item_id
        return None

    def append(self, item: Item) -> str | None:
        """Put an item at the end; returns the id of the one before."""
        previous = self.last_id
        self._items.append(item)
        return previous

    def insert(self, item: Item, previous_item_id: str | None) -> str | None:
        """Put in an item of the client's, where it wants it; returns the id of the one before."""
        if self.find(item.item_id) is not None:
            raise refusals.duplicate_item(item.item_id)
        self._check_call(item)
        if previous_item_id is None:
            return self.append(item)
        if previous_item_id == "root":
            self._items.insert(0, item)
            return None
        places = [n for n, known in enumerate(self._items) if known.item_id == previous_item_id]
        if not places:
            raise refusals.unknown_previous_item(previous_item_id)
        self._items.insert(places[0] + 1, item)
        return previous_item_id

    def delete(self, item_id: str) -> Item:
        item = self._require("delete", item_id)
        self._items.remove(item)
        return item

    def retrieve(self, item_id: str) -> Item:
        return self._require("retrieve", item_id)

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> Item:
        """Cut an assistant's audio item to what was heard; its transcript goes with the rest."""
        item = self._require("truncate", item_id)
        if not item.is_assistant_audio or not item.generated_ms:
            raise refusals.not_truncatable()
        if content_index != 0:
            raise refusals.out_of_range("content_index", content_index, "0")
        if audio_end_ms < 0:
            raise refusals.out_of_range("audio_end_ms", audio_end_ms, "0 or more")
        if audio_end_ms > item.audio_ms:
            raise refusals.already_shorter(item.audio_ms, audio_end_ms)
        item.audio_ms, item.truncated = audio_end_ms, True
        for part in item.body["content"]:
            part.pop("transcript", None)
        return item

    def tool_of(self, call_id: str) -> str | None:
        """The name of the function that this call id was for."""
        for item in self._items:
            if item.kind == "function_call" and item.body["call_id"] == call_id:
                return str(item.body["name"])
        return None

    def answered(self, call_id: str) -> bool:
        return any(
            item.kind == "function_call_output" and item.body["call_id"] == call_id
            for item in self._items
        )

    def _require(self, action: str, item_id: str) -> Item:
        item = self.find(item_id)
        if item is None:
            raise refusals.no_such_item(action, item_id)
        return item

    def _check_call(self, item: Item) -> None:
        if item.kind != "function_call_output":
            return
        call_id = item.body["call_id"]
        if self.tool_of(call_id) is None:
            raise refusals.unknown_tool_call(call_id)


def item_from_client(item_id: str, wire: Mapping[str, Any]) -> Item:
    """The item of a ``conversation.item.create`` whose keys and types were checked."""
    body = {key: value for key, value in wire.items() if key not in ("id", "object", "status")}
    parts = body.get("content", [])
    if body.get("role") == "assistant" and any(p.get("type") == "output_audio" for p in parts):
        raise refusals.invalid_value("item.content[0].type", "output_audio", ["output_text"])
    return Item(item_id, body)
