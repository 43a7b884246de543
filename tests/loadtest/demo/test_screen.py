"""How lines look where there is no terminal."""

from __future__ import annotations

import io

from loadtest.demo import Screen
from loadtest.demo.screen import PLAIN_WIDTH, pretty, shortened

LONG = "words and words and words " * 8


def test_long_lines_go_on_beneath_their_text_and_end_without_blanks() -> None:
    text = io.StringIO()
    Screen(text).line(1234, "assistant", LONG)
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("   1.23 assistant  words and")
    assert len(lines) > 1
    assert all(len(line) - len(line.lstrip()) == 19 for line in lines[1:])
    assert all(line == line.rstrip() and len(line) <= PLAIN_WIDTH for line in lines)


def test_nothing_but_text_is_written_to_a_file() -> None:
    text = io.StringIO()
    screen = Screen(text)
    with screen.live():
        screen.now("the caller is speaking")
        screen.heading("a call")
        screen.line(0, "caller", "[bold]brackets stay[/bold]")
        screen.facts({"name": "Rachel Kim", "slots": {"a": 1}})
    assert "\x1b" not in text.getvalue()
    assert [" ".join(line.split()) for line in text.getvalue().splitlines()[2:]] == [
        "0.00 caller [bold]brackets stay[/bold]",
        "name Rachel Kim",
        'slots {"a": 1}',
    ]


def test_documents_are_indented_and_long_texts_cut() -> None:
    task = f'<Task priority="1">{LONG}</Task>'
    lines = pretty(f'<?xml version="1.0"?><Response><Enqueue>{task}</Enqueue></Response>')
    assert [line.strip()[:6] for line in lines] == [
        "<Respo",
        "<Enque",
        "<Task ",
        "</Enqu",
        "</Resp",
    ]
    assert lines[2].endswith(f"… ({len(LONG)} characters)</Task>")


def test_what_fits_is_not_shortened() -> None:
    assert shortened("x" * 120) == "x" * 120
    assert shortened("x" * 121) == f"{'x' * 120}… (121 characters)"
