"""The end of a run: a table of the calls, and where everything was left."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from loadtest.demo.figures import HEARD_BUDGET_MS, MODEL_BUDGET_MS
from loadtest.demo.player import CallReport
from loadtest.demo.recordings import DemoFiles
from loadtest.demo.screen import Screen

_COLUMNS = ("call", "arrived", "turns", "model audio", "audio out", "at the ear", "silenced", "")


def show_summary(
    screen: Screen, reports: Sequence[CallReport], files: DemoFiles, log: Path
) -> None:
    screen.heading("Summary")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("call", "arrived", "") else "right")
    for report in reports:
        table.add_row(*_row(report))
    screen.show(table)
    screen.say(
        f"Milliseconds, median / worst of the turns; budgets: model audio {MODEL_BUDGET_MS} after "
        f"speech_stopped, audio out {HEARD_BUDGET_MS} after the caller's last speech. "
        "Silenced: from an interrupting caller's first sound to the assistant's last.",
        "dim",
    )
    screen.say(f"Turns over a budget: {_over(reports)}", "dim")
    screen.say(f"\nrecording  {files.recording}   (stereo: caller left, assistant right)")
    screen.say(f"timeline   {files.timeline}")
    screen.say(f"each call  {files.recording.parent}/<call>/call.wav and timeline.jsonl")
    screen.say(f"logs       {log}")


def _row(report: CallReport) -> list[str | Text]:
    turns = report.turns
    verdict = Text("failed", style="bold red") if report.faults else Text("ok", style="bold green")
    silenced = [cut.silent_after_ms for cut in report.cuts]
    return [
        report.call.name,
        str(report.call.expected) if not report.faults else report.arrived,
        str(len(turns)),
        _spread([turn.model_ms for turn in turns]),
        _spread([turn.out_ms for turn in turns]),
        _spread([turn.ear_ms for turn in turns]),
        ", ".join("?" if ms is None else f"after {ms} ms" for ms in silenced) or "-",
        verdict,
    ]


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{statistics.median(known):.0f} / {max(known):.0f}"


def _over(reports: Sequence[CallReport]) -> str:
    turns = [turn for report in reports for turn in report.turns]
    over = [turn for turn in turns if turn.over_budget]
    busy = sum(turn.on_its_way is not None for turn in over)
    told = f"{len(over)} of {len(turns)}"
    return f"{told}, {busy} of them with a tool call or the decision on its way" if busy else told
