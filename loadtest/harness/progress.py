"""What a run shows while it lasts: a table that changes on a terminal, elsewhere plain lines."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadtest.harness.meter import Now

PLAIN_EVERY_S = 5.0
SHOWN = ("first_audio_out", "first_model_audio", "barge_in", "greeting", "uplink")
"""In this order; what was not measured yet is left out."""


class Progress:
    """``with Progress(console, for_s) as watch:`` and hand ``watch`` to the run."""

    def __init__(self, console: Console, for_s: float) -> None:
        self._console = console
        self._for_s = for_s
        self._next_s = 0.0
        self._live: Live | None = None
        if console.is_terminal:
            # Drawn when told, by nobody else: a thread of its own would hold up frames.
            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, now: Now) -> None:
        if self._live is not None:
            self._live.update(self._screen(now), refresh=True)
        elif now.at_s >= self._next_s:
            self._next_s = now.at_s + PLAIN_EVERY_S - 0.5  # steps are not quite a second apart
            self._console.print(Text(self._line(now)), soft_wrap=True)

    def _screen(self, now: Now) -> RenderableType:
        table = Table("latency, ms", "p50", "p95", "p99", box=None, pad_edge=False)
        for name in SHOWN:
            if name in now.figures:
                table.add_row(name, *(f"{value:.1f}" for value in now.figures[name]))
        return Group(Text(self._head(now), style="bold"), table)

    def _head(self, now: Now) -> str:
        return (
            f"{now.at_s:.0f} of {self._for_s:.0f} s: {now.calls_up} calls up, {now.ended} ended, "
            f"{now.turns} turns, {now.errors} errors"
        )

    def _line(self, now: Now) -> str:
        shown = (
            f"{name} p95 {now.figures[name][1]:.0f} ms" for name in SHOWN if name in now.figures
        )
        return ", ".join([self._head(now), *shown])
