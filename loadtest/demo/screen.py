"""Lines on the terminal: when, who, what. In colour on a terminal, elsewhere plain text."""

from __future__ import annotations

import contextlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import TextIO

from rich.console import Console, RenderableType
from rich.rule import Rule
from rich.status import Status
from rich.text import Text

PLAIN_WIDTH = 110
MAX_VALUE_CHARS = 120
_TIME_CHARS, _WHO_CHARS = 7, 10
_WHO_STYLES = {
    "caller": "bold cyan",
    "assistant": "bold green",
    "barge-in": "bold yellow",
    "decision": "bold magenta",
    "outcome": "bold magenta",
    "fault": "bold red",
}
_INDENT = Text(" " * (_TIME_CHARS + 1))


class Screen:
    """Where the demo tells what happens. ``file`` None is standard output."""

    def __init__(self, file: TextIO | None = None) -> None:
        console = Console(file=file, highlight=False)
        if not console.is_terminal:
            console = Console(file=file, highlight=False, width=PLAIN_WIDTH)
        self._console = console
        self._status: Status | None = None

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """While a call runs a terminal has one more line, with who is speaking."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("") as self._status:
            yield
        self._status = None

    def now(self, text: str) -> None:
        """What that line says."""
        if self._status is not None:
            self._status.update(Text(text, style="dim"))

    def heading(self, text: str) -> None:
        self._console.print()
        self._console.print(Rule(Text(text, style="bold"), align="left"))

    def say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)

    def show(self, what: RenderableType) -> None:
        self._console.print(what)

    def line(self, ms: int, who: str, text: str | Text) -> None:
        """One thing that happened ``ms`` after the call began."""
        time = Text(f"{ms / 1000:{_TIME_CHARS}.2f} ", style="dim")
        name = Text(f"{who:<{_WHO_CHARS}} ", style=_WHO_STYLES.get(who, "dim"))
        self._hanging(Text.assemble(time, name), text if isinstance(text, Text) else Text(text))

    def facts(self, facts: Mapping[str, object], *, whole: bool = False) -> None:
        """Names and values, indented under a line; long values are cut unless ``whole``."""
        width = max((len(name) for name in facts), default=0)
        for name, value in facts.items():
            head = Text.assemble(_INDENT, Text(f"{name:<{width}}  ", style="dim"))
            text = _shown(value)
            self._hanging(head, Text(text if whole else shortened(text)))

    def document(self, twiml: str) -> None:
        """A TwiML document, one element a line, long text cut."""
        for line in pretty(twiml):
            depth = len(line) - len(line.lstrip())
            head = Text.assemble(_INDENT, " " * depth)
            self._hanging(head, Text(line.lstrip(), style="blue"))

    def _hanging(self, head: Text, body: Text) -> None:
        """``body`` beside ``head``, as many lines as it needs, nothing under ``head``."""
        room = max(20, self._console.width - head.cell_len)
        lines = body.wrap(self._console, room)
        for line in lines:
            line.rstrip()
        below = Text(f"\n{' ' * head.cell_len}")
        self._console.print(Text.assemble(head, below.join(lines)), soft_wrap=True)


def pretty(twiml: str) -> list[str]:
    """The lines of an indented document; long texts are cut."""
    root = ET.fromstring(twiml)  # noqa: S314 - what the bridge of the demo itself answered
    for element in root.iter():
        element.text = shortened(element.text) if element.text else None
    ET.indent(root)
    return ET.tostring(root, encoding="unicode").splitlines()


def shortened(text: str) -> str:
    if len(text) <= MAX_VALUE_CHARS:
        return text
    return f"{text[:MAX_VALUE_CHARS]}… ({len(text)} characters)"


def against(value_ms: float | None, budget_ms: int) -> Text:
    """A latency beside its budget, red where it is over."""
    if value_ms is None:
        return Text("not measured", style="dim")
    over = value_ms > budget_ms
    text = Text(f"{value_ms:.0f} of {budget_ms} ms", style="red" if over else "green")
    return text.append(" (over)" if over else "")


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
