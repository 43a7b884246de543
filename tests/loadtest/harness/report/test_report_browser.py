"""The report in a real browser: nothing fails, everything is to be seen, at two widths."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from loadtest.harness.report import write_html
from loadtest.harness.result import Result
from tests import chromium

FullResult: TypeAlias = Callable[..., Result]
WIDTHS = (1280, 390)
MOST_SETUP_S = 360

pytestmark = pytest.mark.timeout(MOST_SETUP_S)

BOXES = """
[...document.querySelectorAll("figure.plot > .frame > svg, .turn:not([hidden]) svg")].map(svg => {
  const box = svg.getBoundingClientRect();
  return [svg.querySelectorAll("path.curve, rect").length > 0, box.width > 40, box.height > 8];
})
"""
OVERFLOWING = """
[...document.querySelectorAll("body *")].filter(e =>
  !e.closest(".scrolls, title, option") && e.getBoundingClientRect().right > innerWidth + 1
).map(e => e.outerHTML.slice(0, 200))
"""
LABELS_OUTSIDE = """
[...document.querySelectorAll(".plot")].filter(plot => plot.checkVisibility()).flatMap(plot => {
  const card = plot.getBoundingClientRect();
  return [...plot.querySelectorAll(".frame span")].filter(span => {
    const box = span.getBoundingClientRect();
    return box.left < card.left || box.right > card.right || box.bottom > card.bottom;
  }).map(span => span.textContent + " in " + plot.querySelector("figcaption").textContent);
})
"""
LABELS_OVER_EACH_OTHER = """
[...document.querySelectorAll(".x")].filter(row => row.checkVisibility()).flatMap(row => {
  const boxes = [...row.children].map(span => span.getBoundingClientRect());
  return boxes.slice(1).filter((box, n) => box.left < boxes[n].right).map(() => row.textContent);
})
"""
FAINT = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = colour => {
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => {
      v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
  };
  const light = colour => { const [r, g, b] = rgb(colour); return .2126*r + .7152*g + .0722*b; };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "white";
  };
  const words = [...document.querySelectorAll("body *")].filter(e => e.checkVisibility()
    && !(e instanceof SVGElement) && [...e.childNodes].some(n => n.nodeType === 3
    && n.data.trim()));
  return words.filter(e => {
    const a = light(getComputedStyle(e).color), b = light(behind(e));
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5;
  }).map(e => e.textContent.slice(0, 80));
})()
"""
SHOWN_TURNS = """
[...document.querySelectorAll("[data-turn]")].filter(turn => turn.checkVisibility())
  .map(turn => turn.querySelector("caption").textContent)
"""


@pytest.fixture
async def page() -> AsyncIterator[chromium.Page]:
    try:
        async with chromium.page() as opened:
            yield opened
    except chromium.ChromiumMissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def report(make_full_result: FullResult, tmp_path: Path) -> str:
    """Its address."""
    file = tmp_path / "report.html"
    write_html(make_full_result(), file)
    return file.as_uri()


async def test_it_opens_without_a_complaint_and_asks_for_nothing_else(
    page: chromium.Page, report: str
) -> None:
    await page.open(report)
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [report]
    title = await page.run("document.title")
    assert title == "Failed: 2 of 5 gates · load test of wss://127.0.0.1:8443/media"


@pytest.mark.parametrize("width", WIDTHS)
async def test_everything_is_seen_at_this_width(
    page: chromium.Page, report: str, width: int
) -> None:
    await page.resize(width)
    await page.open(report)
    await page.run('document.querySelectorAll("details").forEach(one => one.open = true)')
    boxes = await page.run(BOXES)
    assert len(boxes) > 20
    assert all(box == [True, True, True] for box in boxes)
    assert await page.run(OVERFLOWING) == []
    assert await page.run("document.documentElement.scrollWidth <= innerWidth")
    assert await page.run(LABELS_OUTSIDE) == []
    assert await page.run(LABELS_OVER_EACH_OTHER) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_words_stand_out_from_what_is_behind_them(
    page: chromium.Page, report: str, scheme: str
) -> None:
    """WCAG AA: 4.5 to 1."""
    await page.prefer(scheme)
    await page.open(report)
    assert await page.run("matchMedia('(prefers-color-scheme: dark)').matches") == (
        scheme == "dark"
    )
    assert await page.run(FAINT) == []


async def test_a_turn_is_chosen_for_the_waterfall(page: chromium.Page, report: str) -> None:
    await page.open(report)
    [first] = await page.run(SHOWN_TURNS)
    assert first.startswith("median: ")
    options: list[str] = await page.run(
        '[...document.querySelector("#turn-choice").options].map(one => one.textContent)'
    )
    assert len(options) == 3 + 200
    for number, name in ((1, "p95"), (2, "worst"), (202, "nothing heard")):
        await page.run(
            f'(() => {{ const choice = document.querySelector("#turn-choice");'
            f"choice.selectedIndex = {number};"
            f'choice.dispatchEvent(new Event("change")); }})()'
        )
        assert options[number].startswith(name)
        assert await page.run(SHOWN_TURNS) == [options[number]]


async def test_without_scripts_three_turns_are_shown(page: chromium.Page, report: str) -> None:
    await page.send("Emulation.setScriptExecutionDisabled", value=True)
    await page.open(report)
    names = [caption.partition(":")[0] for caption in await page.run(SHOWN_TURNS)]
    assert names == ["median", "p95", "worst"]


async def test_it_prints_with_everything_unfolded(page: chromium.Page, report: str) -> None:
    await page.open(report)
    pdf = await page.printed()
    assert pdf.startswith(b"%PDF")
    assert await page.run('[...document.querySelectorAll("details")].every(one => one.open)')
    assert page.complaints == []


async def test_texts_from_outside_are_shown_and_never_run(
    page: chromium.Page, make_full_result: FullResult, tmp_path: Path
) -> None:
    hostile = "</style></script><script>window.broken = 1</script><img src=x onerror=broken=2>"
    changed: dict[str, Any] = {
        "plan": {"target": hostile, hostile: hostile},
        "outcomes": {hostile: 1},
        "errors": {hostile: 1},
        "notes": (hostile,),
    }
    file = tmp_path / "hostile.html"
    write_html(make_full_result(**changed), file)
    await page.open(file.as_uri())
    assert await page.run("window.broken === undefined")
    assert page.complaints == []
    assert await page.run('document.querySelectorAll("img").length') == 0
    assert hostile in await page.run("document.body.innerText")
    await page.resize(390)
    assert await page.run(OVERFLOWING) == []
