"""One call as it happens: what Twilio and the bridge tell becomes lines and figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from rich.text import Text

from loadtest.demo.calls import DemoCall
from loadtest.demo.figures import HEARD_BUDGET_MS, MODEL_BUDGET_MS, Cut, TurnFigures, Verdicts
from loadtest.demo.screen import Screen, against
from loadtest.demo.timeline import Note
from loadtest.twilio import CallEvent

_TOLD = {
    "limit": "a limit was reached",
    "gave_up": "the assistant cannot go on",
    "ending_cancelled": "the caller spoke again: nothing is moved yet",
    "empty_promise": "a transfer was announced, but no tool was called",
    "transcript_failed": "the model did not understand the words",
}
"""Notes of the bridge that are rare enough to be told as they are."""


class LiveCall:
    """Fed with everything in the order in which it becomes known. ``ms`` since the call began.

    ``overheard``: the words of an item so far, from the model itself. An answer that is interrupted
    never gets a transcript.
    """

    def __init__(
        self, call: DemoCall, screen: Screen, overheard: Callable[[str], str] = lambda item: ""
    ) -> None:
        self.turns: list[TurnFigures] = []
        self.cuts: list[Cut] = []
        self.verdicts = Verdicts()
        self.greeting_ms: int | None = None
        self._call = call
        self._screen = screen
        self._overheard = overheard
        self._spoken = 0
        self._speaking = ""
        self._words: dict[str, str] = {}
        self._stream_ms: int | None = None
        self._caller_began_ms = 0
        self._caller_ended_ms: int | None = None
        self._answered_ms: int | None = None
        self._turn: TurnFigures | None = None
        self._cut: Cut | None = None
        self._decided = False
        self._stream_over = False
        self._twilio: dict[str, Callable[[CallEvent], None]] = {
            "document": self._document,
            "stream_started": self._stream_started,
            "stream_refused": self._stream_refused,
            "stream_closed": self._stream_closed,
            "mark": self._mark,
            "caller_speech_started": self._caller_began,
            "caller_speech_ended": self._caller_ended,
            "assistant_started": self._assistant_began,
            "assistant_stopped": self._assistant_stopped,
            "dtmf": lambda event: self._line(event.at_ms, "caller", "presses a key"),
            "notice": self._notice,
        }
        self._bridge: dict[str, Callable[[int, Note], None]] = {
            "greeting": lambda ms, note: self._line(
                ms, "assistant", f'"{note.words}" (from the cache)'
            ),
            "model_ready": lambda ms, note: self._line(
                ms, "bridge", f"a model session is bound, {note.fields.get('after_ms')} ms on"
            ),
            "caller_said": self._understood,
            "assistant_speaks": self._assistant_speaks,
            "assistant_said": self._assistant_said,
            "turn": self._turn_measured,
            "barge_in": self._barge_in,
            "tool_called": self._tool_called,
            "decided": self._was_decided,
            "ended": self._was_ended,
            "settled": self._was_settled,
        }

    def twilio(self, event: CallEvent) -> None:
        tell = self._twilio.get(event.kind)
        if tell is not None:
            tell(event)

    def bridge(self, ms: int, note: Note) -> None:
        tell = self._bridge.get(note.kind)
        if tell is not None:
            tell(ms, note)
        elif note.kind in _TOLD:
            details = ", ".join(f"{name} {value}" for name, value in note.fields.items())
            self._line(
                ms, "bridge", f"{_TOLD[note.kind]} ({details})" if details else _TOLD[note.kind]
            )

    def close(self, ms: int) -> None:
        """The call is over: tell what was still waited for."""
        self._tell_cut(ms)
        self._tell_turn(ms)

    # --- Twilio --------------------------------------------------------------------------------

    def _document(self, event: CallEvent) -> None:
        twiml = str(event.data["twiml"])
        if self._stream_ms is None:
            verbs = " ".join(f"<{verb}>" for verb in re.findall(r"<([A-Z]\w*)", twiml)[1:])
            self._line(event.at_ms, "twilio", f"the signed voice webhook answers {verbs}")
        elif "<Response />" not in twiml and "<Response/>" not in twiml:
            self._line(event.at_ms, "twilio", "asked where to go now, the bridge answers")
            self._screen.document(twiml)

    def _stream_started(self, event: CallEvent) -> None:
        self._stream_ms = event.at_ms
        self._line(event.at_ms, "twilio", "media stream open")

    def _stream_refused(self, event: CallEvent) -> None:
        self._line(event.at_ms, "fault", f"the media stream was refused: {event.data['message']}")

    def _stream_closed(self, event: CallEvent) -> None:
        self._stream_over = True
        self._tell_turn(event.at_ms)
        self._line(event.at_ms, "twilio", f"the bridge ends the stream ({event.data['code']})")

    def _mark(self, event: CallEvent) -> None:
        """The first one stands before the first audio."""
        if self.greeting_ms is None and self._stream_ms is not None:
            self.greeting_ms = event.at_ms - self._stream_ms
            text = f"the first audio plays {self.greeting_ms} ms after the stream opened"
            self._line(event.at_ms, "bridge", text)

    def _caller_began(self, event: CallEvent) -> None:
        self._tell_turn(event.at_ms)
        self._caller_began_ms = event.at_ms
        self._caller_ended_ms = self._answered_ms = None
        said = self._call.spoken[self._spoken].text if self._expects_words() else "…"
        self._spoken += 1
        over = ""
        if event.data.get("over_assistant"):
            over = " (over the assistant)"
            self._tell_unfinished(event.at_ms)
        self._line(event.at_ms, "caller", f'"{said}"{over}')
        self._screen.now("the caller is speaking")

    def _expects_words(self) -> bool:
        return self._spoken < len(self._call.spoken)

    def _caller_ended(self, event: CallEvent) -> None:
        self._tell_cut(event.at_ms)
        self._caller_ended_ms = event.at_ms
        self._screen.now("the caller waits for an answer")

    def _assistant_began(self, event: CallEvent) -> None:
        self._screen.now("the assistant is speaking")
        if self._caller_ended_ms is not None and self._answered_ms is None:
            self._answered_ms = event.at_ms
            if self._turn is not None:
                self._tell_turn(event.at_ms)

    def _assistant_stopped(self, event: CallEvent) -> None:
        self._screen.now("nobody is speaking")
        if not event.data.get("cut") or self._stream_over:
            return
        if self._cut is not None:
            self._cut = replace(self._cut, silent_after_ms=event.at_ms - self._caller_began_ms)
            self._tell_cut(event.at_ms)
        elif self._decided:
            self._line(event.at_ms, "bridge", "the assistant is cut in mid-sentence")

    def _notice(self, event: CallEvent) -> None:
        if event.data["severity"] != "info":
            text = f"Twilio would log {event.data['code']}: {event.data['message']}"
            self._line(event.at_ms, "fault", text)

    # --- the bridge ----------------------------------------------------------------------------

    def _understood(self, ms: int, note: Note) -> None:
        """Only told where it is not what was said."""
        heard = note.words or ""
        spoken = [one.text for one in self._call.spoken[: self._spoken]]
        if not any(_plain(heard) in _plain(text) for text in spoken):
            self._line(ms, "model", f'understood "{heard}"')

    def _assistant_speaks(self, ms: int, note: Note) -> None:
        self._speaking = str(note.fields.get("item"))

    def _tell_unfinished(self, ms: int) -> None:
        """What the assistant was about to say when the caller began."""
        words = "" if self._speaking in self._words else self._overheard(self._speaking)
        if words:
            self._line(ms, "assistant", f'"{words} …" (not finished)')

    def _assistant_said(self, ms: int, note: Note) -> None:
        item = str(note.fields.get("item"))
        if not note.words:
            return
        self._words[item] = note.words
        self._line(ms, "assistant", f'"{note.words}"')

    def _turn_measured(self, ms: int, note: Note) -> None:
        fields = note.fields
        self._turn = TurnFigures(
            number=int(fields.get("turn") or 0),
            model_ms=_figure(fields, "first_model_audio_ms"),
            out_ms=_figure(fields, "first_audio_out_ms"),
            bridge_ms=_figure(fields, "bridge_ms"),
            used_tool=bool(fields.get("used_tool")),
            decided=self._decided,
        )
        if self._answered_ms is not None:
            self._tell_turn(ms)

    def _barge_in(self, ms: int, note: Note) -> None:
        fields = note.fields
        heard, sent = _figure(fields, "heard_ms"), _figure(fields, "sent_ms")
        self._cut = Cut(str(fields.get("item")), round(heard or 0), round(sent or 0))

    def _tool_called(self, ms: int, note: Note) -> None:
        name = str(note.fields.get("name"))
        self.verdicts.tools = (*self.verdicts.tools, name)
        self._line(ms, "decision", f"the model calls {name}")

    def _was_decided(self, ms: int, note: Note) -> None:
        self._decided = True
        self._line(ms, "decision", f"decided: {note.fields.get('outcome')}; now the closing line")

    def _was_ended(self, ms: int, note: Note) -> None:
        self.verdicts.ended = str(note.fields.get("reason"))
        self._line(ms, "bridge", f"the conversation ends: {self.verdicts.ended}")

    def _was_settled(self, ms: int, note: Note) -> None:
        self.verdicts.route = str(note.fields.get("route"))
        self.verdicts.reason = str(note.fields.get("reason"))
        text = f"route {self.verdicts.route}, because of {self.verdicts.reason}, is in the ledger"
        self._line(ms, "decision", text)

    # --- figures -------------------------------------------------------------------------------

    def _tell_turn(self, ms: int) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            return
        if self._answered_ms is not None and self._caller_ended_ms is not None:
            turn = replace(turn, ear_ms=self._answered_ms - self._caller_ended_ms)
        self.turns.append(turn)
        text = Text("first model audio ").append(against(turn.model_ms, MODEL_BUDGET_MS))
        text.append(", first audio out ").append(against(turn.out_ms, HEARD_BUDGET_MS))
        ear = "not heard" if turn.ear_ms is None else f"{turn.ear_ms} ms at the ear"
        on_its_way = "" if (why := turn.on_its_way) is None else f", {why} on its way"
        figures = f" ({ear}{on_its_way}; in the bridge {turn.bridge_ms:g} ms)"
        self._line(ms, "turn", text.append(figures))

    def _tell_cut(self, ms: int) -> None:
        cut, self._cut = self._cut, None
        if cut is None:
            return
        self.cuts.append(cut)
        text = f"heard {cut.heard_ms} ms of {cut.sent_ms} ms sent"
        words = self._words.get(cut.item, "").split()
        if words and cut.sent_ms:
            kept = words[: len(words) * cut.heard_ms // cut.sent_ms]
            text += f', up to about "… {" ".join(kept[-3:])}"'
        if cut.silent_after_ms is not None:
            text += f"; silent {cut.silent_after_ms} ms after the caller began"
        self._line(ms, "barge-in", text)

    def _line(self, ms: int, who: str, text: str | Text) -> None:
        self._screen.line(ms, who, text)


def _figure(fields: Mapping[str, str | int | float | bool | None], name: str) -> float | None:
    value = fields.get(name)
    return None if value is None else float(value)


def _plain(text: str) -> str:
    return "".join(re.findall(r"\w+", text.casefold()))
