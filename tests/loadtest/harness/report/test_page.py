"""The HTML report as a document: what it says first, what it holds, what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.commands.report import command
from loadtest.harness.report import write_html
from loadtest.harness.report.markup import document, el
from loadtest.harness.report.page import html
from loadtest.harness.result import Judged, Process, Result, write

FullResult: TypeAlias = Callable[..., Result]


class Outline(HTMLParser):
    """Texts by tag, attributes that fetch something, and whether every tag is closed in order."""

    VOID = ("meta", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.fetched += [v for name in ("src", "href") if (v := values.get(name)) is not None]
        self.ids += [v for name, v in attrs if name == "id" and v is not None]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.setdefault(self._open[-1], []).append(data)


def test_the_whole_report_is_one_file_that_fetches_nothing(make_full_result: FullResult) -> None:
    text = html(make_full_result())
    outline = Outline(text)
    assert text.startswith("<!doctype html>\n")
    assert outline.fetched == ["data:,"]
    assert re.findall(r"url\(|@import|https?://", text) == []
    assert outline.texts["h2"] == [
        "Gates",
        "Figures",
        "How latencies are distributed",
        "Over time",
        "Waterfall of a turn",
        "Outcomes and errors",
        "Process of the bridge",
        "Plan and machine",
    ]
    assert len(outline.ids) == len(set(outline.ids))


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({}, "Failed: 2 of 5 gates"),
        ({"partial": True}, "Partial run. Failed: 2 of 5 gates"),
        ({"valid": False}, "Invalid: these figures say nothing about the target"),
        (
            {"valid": False, "partial": True},
            "Partial run. Invalid: these figures say nothing about the target",
        ),
        ({"gates": ()}, "Measured; no gates were set"),
        (
            {"gates": (Judged(gate="x=1", figure="x", value=1, limit=1, unit="", passed=True),)},
            "Passed: the gate",
        ),
    ],
    ids=["failed", "partial", "invalid", "partial and invalid", "no gates", "one gate passed"],
)
def test_the_first_line_is_the_verdict(
    make_full_result: FullResult, changes: dict[str, Any], headline: str
) -> None:
    outline = Outline(html(make_full_result(**changes)))
    assert outline.texts["h1"] == [headline]
    title = f"{headline} · load test of wss://127.0.0.1:8443/media"
    assert outline.texts["title"][0] == title  # others are of the plots


def test_reasons_stand_below_the_verdict(make_full_result: FullResult) -> None:
    gates = (
        Judged(gate="a", figure="greeting.p95", value=59.91, limit=50, unit="ms", passed=False),
        Judged(
            gate="b", figure="barge_in.p95", value=None, limit=300, unit="ms", passed=False
        ).model_copy(update={"why": "barge_in was not measured"}),
        Judged(gate="c", figure="lost_frames", value=3, limit=0, unit="", passed=False),
    )
    result = make_full_result(valid=False, invalid_because=("late by 12 ms",), gates=gates)
    assert Outline(html(result)).texts["li"][:4] == [
        "late by 12 ms",
        "greeting.p95 is 59.9 ms, at most 50.0 ms",
        "barge_in.p95: barge_in was not measured",
        "lost_frames is 3, at most 0",
    ]


def test_what_was_not_measured_has_no_section(make_full_result: FullResult) -> None:
    nothing: dict[str, Any] = {
        "figures": {},
        "counts": {},
        "outcomes": {},
        "errors": {},
        "series": (),
        "turns": (),
    }
    result = make_full_result(**nothing, gates=(), process=None, plan={}, machine={})
    outline = Outline(html(result))
    assert outline.texts["h2"] == ["Figures", "Outcomes and errors", "Plan and machine"]
    assert "No latency was measured." in outline.texts["p"]
    assert "svg" not in html(result).partition("</style>")[2].partition("<script>")[0]


def test_a_process_that_was_never_read_leaves_its_numbers_out(
    make_full_result: FullResult,
) -> None:
    result = make_full_result(process=Process(pid=7, cpu_us_per_frame=None))
    assert "Process 7" in Outline(html(result)).texts["p"]


def test_a_soak_of_hours_stays_a_small_file(make_full_result: FullResult) -> None:
    result = make_full_result(kind="soak")
    steps = tuple(
        second.model_copy(update={"at_s": float(round_ * 120 + number)})
        for round_ in range(60)
        for number, second in enumerate(result.series, start=1)
    )
    text = html(result.model_copy(update={"series": steps, "seconds": 7200.0}))
    assert len(text) < 800_000
    assert "Soak test of" in text


@given(st.text())
def test_texts_come_back_as_they_were(text: str) -> None:
    """Whatever is in them; the parser itself turns NUL and line ends into others."""
    shown = text.replace("\0", "").replace("\r", "")
    outline = Outline(document(el("html", el("p", shown, title=shown))))
    assert "".join(outline.texts.get("p", [])).strip() == shown.strip()


def test_a_lone_surrogate_does_not_cost_the_report(
    make_full_result: FullResult, tmp_path: Path
) -> None:
    write_html(make_full_result(outcomes={"\ud800": 1}), tmp_path / "out.html")
    assert "&#55296;" in (tmp_path / "out.html").read_text(encoding="utf-8")


# --- the command ------------------------------------------------------------------------------


def test_report_reads_a_result_and_writes_html(
    make_full_result: FullResult, tmp_path: Path
) -> None:
    file, out = tmp_path / "run.json", tmp_path / "new" / "report.html"
    write(make_full_result(), file)
    done = CliRunner().invoke(command, [str(file), "-o", str(out)])
    assert (done.exit_code, done.output) == (0, f"wrote {out}\n")
    assert out.read_text(encoding="utf-8") == html(make_full_result())
    beside = CliRunner().invoke(command, [str(file)])
    assert beside.output == f"wrote {tmp_path / 'run.html'}\n"


def test_report_names_what_it_cannot_read_or_write(
    make_full_result: FullResult, tmp_path: Path
) -> None:
    missing = CliRunner().invoke(command, [str(tmp_path / "none.json")], terminal_width=200)
    assert missing.exit_code == 2
    assert "none.json: No such file or directory" in missing.output
    file = tmp_path / "run.json"
    write(make_full_result(), file)
    blocked = CliRunner().invoke(command, [str(file), "-o", str(file / "report.html")])
    assert blocked.exit_code == 1
    assert "cannot write" in blocked.output
