"""The record of calls, written off the audio path: a call only appends to a buffer in memory.

One task writes in batches twice a second, so that a crash loses about one second. While the
database is away the buffer grows to its limit; past it new timeline entries are not taken, and how
many of a call's own were not is part of its summary.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import structlog

from bridge.call.effects import Note
from bridge.call.usage import UsageMeter
from bridge.store.ledger import CallOpening, LedgerUnavailableError
from bridge.store.prices import Prices
from bridge.store.records import Entry, RecordWriter
from bridge.store.rows import LedgerRows
from bridge.store.store import Store
from bridge.store.tables import calls, status_events, timeline, turns, usage

log = structlog.get_logger("bridge.store")

FLUSH_S = 0.5
LONGEST_WAIT_S = 5.0
BATCH = 100
"""Entries of one transaction: decisions wait for no more of them than that."""
LIMIT = 50_000
"""Timeline entries in the buffer: minutes of a full house."""
KEPT_BACK = 10_000
"""Room beyond the limit for what there is one of in a call: its row, its summary, its end."""
LAST_FLUSH_S = 3.0


@dataclass(frozen=True, slots=True)
class CallSummary:
    """What is known of a conversation when it is over."""

    model: str
    usage: UsageMeter
    stream_s: float
    transcription_model: str | None = None
    instructions: str = ""
    """Version of the instruction text."""
    overlap_ms: float | None = None
    """How long the model's socket outlived Twilio's: billed at both ends."""


class CallRecorder:
    """Takes notes of calls without ever waiting; ``run`` writes them down until ``stop``.

    ``clock`` gives Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        prices: Prices,
        *,
        clock: Callable[[], float],
        limit: int = LIMIT,
    ) -> None:
        self._writer = RecordWriter(store.database)
        self._cipher = store.cipher
        self._rows = LedgerRows(store.cipher, store.number_hash)
        self._prices = prices
        self._clock = clock
        self._limit = limit
        self._buffer: deque[Entry] = deque()
        self._stopping = asyncio.Event()
        self.refused = 0
        """Entries that found no room."""

    # --- what calls use ------------------------------------------------------------------------

    def opened(self, opening: CallOpening, now: float) -> CallRecord:
        """The record of one hop, whose stream began at ``now`` (any clock that notes use too)."""
        return CallRecord(self, opening, now)

    def passed_on(self, opening: CallOpening, reason: str) -> None:
        """A call that the AI does not take: the whole of its record."""
        self._take(Entry(calls, self._rows.call(opening, passed_on=reason)), precious=True)

    def status(
        self, call_sid: str, source: str, status: str, fields: Mapping[str, object] | None = None
    ) -> None:
        """What Twilio reports of a call, or of what became of it after us."""
        row = {
            "call_sid": call_sid,
            "at": self._clock(),
            "source": source,
            "status": status,
            "fields": _json(fields or {}),
        }
        self._take(Entry(status_events, row), precious=True)

    # --- what a call's record uses -------------------------------------------------------------

    def said(self, words: str) -> str:
        """Words as they are stored."""
        return self._cipher.encrypt(words)

    def take(self, entry: Entry) -> bool:
        """False if there is no room."""
        return self._take(entry, precious=False)

    def summarised(self, opening: CallOpening, summary: CallSummary, lost: int) -> None:
        cost = self._prices.cost(
            summary.usage,
            model=summary.model,
            transcription_model=summary.transcription_model,
            stream_s=summary.stream_s,
            day=dt.datetime.fromtimestamp(opening.started_at, dt.UTC).date(),
        )
        used = asdict(summary.usage)
        row = {
            "call_sid": opening.call_sid,
            "hop": opening.hop,
            "model": summary.model,
            "instructions": summary.instructions,
            "transcription_model": summary.transcription_model,
            "transcribed_s": used.pop("transcribed_seconds"),
            "stream_s": summary.stream_s,
            "overlap_ms": summary.overlap_ms,
            "entries_lost": lost,
            "prices_from": cost.prices_from.isoformat() if cost.prices_from else None,
            "model_usd": cost.model,
            "transcription_usd": cost.transcription,
            "twilio_usd": cost.twilio,
            "total_usd": cost.total,
            **{name: used[name] for name in _COUNTS},
        }
        self._take(Entry(usage, row), precious=True)

    def _take(self, entry: Entry, *, precious: bool) -> bool:
        room = self._limit + (KEPT_BACK if precious else 0)
        if len(self._buffer) >= room:
            self.refused += 1
            return False
        self._buffer.append(entry)
        return True

    # --- writing -------------------------------------------------------------------------------

    def stop(self) -> None:
        """``run`` writes what is left, as far as the database lets it, and returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Never raises for a database in trouble: what could not be written is tried again."""
        failures = 0
        while not self._stopping.is_set():
            wait_s = min(FLUSH_S * 2.0 ** min(failures, 10), LONGEST_WAIT_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()
            try:
                await self.flush()
                failures = 0
            except LedgerUnavailableError:
                failures += 1  # the log knows it from the database
        await self._flush_last()

    async def flush(self) -> None:
        """Write all there is. Raises LedgerUnavailableError, and keeps what was not written."""
        while self._buffer:
            batch = list(itertools.islice(self._buffer, BATCH))
            await self._writer.write(batch)
            for _ in batch:
                self._buffer.popleft()

    async def _flush_last(self) -> None:
        try:
            async with asyncio.timeout(LAST_FLUSH_S):
                await self.flush()
        except (TimeoutError, LedgerUnavailableError):
            log.error("record_entries_lost", count=len(self._buffer))


_COUNTS = (
    "responses",
    "text_in",
    "audio_in",
    "cached_text_in",
    "cached_audio_in",
    "text_out",
    "audio_out",
)


class CallRecord:
    """One hop's record in the making. Its methods only append."""

    def __init__(self, recorder: CallRecorder, opening: CallOpening, now: float) -> None:
        self._recorder = recorder
        self._opening = opening
        self._started_at = now
        self._seq = 0
        self._lost = 0

    def note(self, now: float, note: Note) -> None:
        """Something the call observed; a ``turn`` is counted among the latencies."""
        at_ms = max(0, int((now - self._started_at) * 1000))
        entry = self._turn(at_ms, note) if note.kind == "turn" else self._entry(at_ms, note)
        self._seq += 1
        if not self._recorder.take(entry):
            self._lost += 1

    def closed(self, summary: CallSummary) -> None:
        """May be called while the call goes on as well: the last one stands."""
        self._recorder.summarised(self._opening, summary, self._lost)

    def _entry(self, at_ms: int, note: Note) -> Entry:
        row = {
            "call_sid": self._opening.call_sid,
            "hop": self._opening.hop,
            "seq": self._seq,
            "at_ms": at_ms,
            "kind": note.kind,
            "fields": _json(note.fields),
            "words": None if note.words is None else self._recorder.said(note.words),
        }
        return Entry(timeline, row)

    def _turn(self, at_ms: int, note: Note) -> Entry:
        row: dict[str, Any] = {
            "call_sid": self._opening.call_sid,
            "hop": self._opening.hop,
            "turn": note.fields.get("turn"),
            "at_ms": at_ms,
            "first_model_audio_ms": note.fields.get("first_model_audio_ms"),
            "first_audio_out_ms": note.fields.get("first_audio_out_ms"),
            "bridge_ms": note.fields.get("bridge_ms"),
            "used_tool": bool(note.fields.get("used_tool")),
        }
        return Entry(turns, row)


def _json(fields: Mapping[str, object]) -> str:
    """Never raises: whatever a call observes, noting it must not end the call."""
    try:
        return orjson.dumps(dict(fields)).decode()
    except TypeError:  # too large a number, half a character, something that is no JSON
        text = json.dumps(dict(fields), default=repr, ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()
