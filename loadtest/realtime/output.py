"""The items of one response and every event about them, in the documented order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .conversation import Item, ItemStatus
from .delivery import Delta
from .formats import AudioFormat
from .stage import Stage


class ResponseOutput:
    """Opens, fills and closes items; puts them into the conversation unless it is ``aside``."""

    def __init__(
        self, stage: Stage, response_id: str, audio_format: AudioFormat, *, aside: bool
    ) -> None:
        self.items: list[Item] = []
        self._stage = stage
        self._response_id = response_id
        self._format = audio_format
        self._aside = aside
        self._item_bytes = 0

    def open_audio(self) -> Item:
        item = self._open({"type": "message", "role": "assistant", "content": []})
        item.body["content"] = [{"type": "output_audio", "transcript": ""}]
        self._item_bytes = 0
        self._open_part(item, {"type": "audio", "transcript": ""})
        return item

    def open_text(self) -> Item:
        item = self._open({"type": "message", "role": "assistant", "content": []})
        item.body["content"] = [{"type": "output_text", "text": ""}]
        self._open_part(item, {"type": "text", "text": ""})
        return item

    def open_call(self, tool: str) -> Item:
        call_id = self._stage.new_id("call")
        return self._open(
            {"type": "function_call", "name": tool, "call_id": call_id, "arguments": ""}
        )

    def add_audio(self, item: Item, delta: Delta) -> int:
        """Words first, then sound; returns its duration in milliseconds."""
        ids = self._part_ids(item)
        if delta.transcript:
            if not item.truncated:  # what was cut off takes its transcript with it
                item.body["content"][0]["transcript"] += delta.transcript
            self._stage.emit(
                "response.output_audio_transcript.delta", **ids, delta=delta.transcript
            )
        self._stage.emit("response.output_audio.delta", **ids, delta=delta.audio)
        # Milliseconds from the sum of bytes: those of single deltas would lose a fraction each.
        self._item_bytes += delta.byte_count
        before_ms = item.generated_ms
        item.generated_ms = self._format.duration_ms(self._item_bytes)
        if not item.truncated:
            item.audio_ms = item.generated_ms
        return item.generated_ms - before_ms

    def add_text(self, item: Item, piece: str) -> None:
        item.body["content"][0]["text"] += piece
        self._stage.emit("response.output_text.delta", **self._part_ids(item), delta=piece)

    def add_arguments(self, item: Item, piece: str) -> None:
        item.body["arguments"] += piece
        self._stage.emit(
            "response.function_call_arguments.delta",
            **self._ids(item),
            call_id=item.body["call_id"],
            delta=piece,
        )

    def close(self, item: Item, status: ItemStatus) -> None:
        """``incomplete`` where it was cut short: arguments may then be half of a JSON text."""
        stage = self._stage
        item.status = status
        if item.kind == "function_call":
            call = {key: item.body[key] for key in ("call_id", "name", "arguments")}
            stage.emit("response.function_call_arguments.done", **self._ids(item), **call)
        else:
            self._close_part(item)
        if stage.conversation.find(item.item_id) is not None:
            previous = stage.conversation.before(item)
            stage.emit("conversation.item.done", previous_item_id=previous, item=item.to_wire())
        self._emit_item("response.output_item.done", item)

    def _open(self, body: dict[str, Any]) -> Item:
        stage = self._stage
        item = Item(stage.new_id("item"), body, "in_progress")
        self.items.append(item)
        self._emit_item("response.output_item.added", item)
        if not self._aside:
            previous = stage.conversation.append(item)
            stage.emit("conversation.item.added", previous_item_id=previous, item=item.to_wire())
        return item

    def _emit_item(self, kind: str, item: Item) -> None:
        self._stage.emit(
            kind,
            response_id=self._response_id,
            output_index=self.items.index(item),
            item=item.to_wire(),
        )

    def _open_part(self, item: Item, part: Mapping[str, str]) -> None:
        self._stage.emit("response.content_part.added", **self._part_ids(item), part=part)

    def _close_part(self, item: Item) -> None:
        stage, ids, content = self._stage, self._part_ids(item), item.body["content"][0]
        if content["type"] == "output_audio":
            text = content.get("transcript", "")
            stage.emit("response.output_audio.done", **ids)
            stage.emit("response.output_audio_transcript.done", **ids, transcript=text)
            part = {"type": "audio", "transcript": text}
        else:
            stage.emit("response.output_text.done", **ids, text=content["text"])
            part = {"type": "text", "text": content["text"]}
        stage.emit("response.content_part.done", **ids, part=part)

    def _ids(self, item: Item) -> dict[str, Any]:
        return {
            "response_id": self._response_id,
            "item_id": item.item_id,
            "output_index": self.items.index(item),
        }

    def _part_ids(self, item: Item) -> dict[str, Any]:
        return self._ids(item) | {"content_index": 0}
