"""Text that was cut says so, and no character breaks a document."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.text import ELLIPSIS, clean, cut, in_language, language_tag, width, with_tag

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 5, "short"),
        ("water in the basement", 12, "water in…"),
        ("water in the basement", 13, "water in the…"),
        ("water in the basement", 14, "water in the…"),
        ("pipes burst in the wall", 19, "pipes burst in the…"),
        ("Wasserrohrbruch", 6, "Wasse…"),
        ("👍🏽👍🏽", 6, "👍🏽…"),
        ("cafe\u0301s", 5, "caf…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_cutting_marks_the_end_and_keeps_letters_whole(
    text: str, limit: int, expected: str
) -> None:
    assert cut(text, limit) == expected


@given(text=ANY_TEXT, limit=st.integers(0, 60))
def test_what_is_cut_fits_and_is_marked(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert width(short) <= limit or short == text
    assert short == text or short == "" or short.endswith(ELLIPSIS)


@given(text=ANY_TEXT)
def test_clean_text_can_stand_in_any_document(text: str) -> None:
    tidy = clean(text)
    assert clean(tidy) == tidy
    element = ElementTree.Element("Say")
    element.text = tidy
    assert (ElementTree.fromstring(ElementTree.tostring(element)).text or "") == tidy  # noqa: S314


@given(text=ANY_TEXT)
def test_width_is_what_a_peer_on_the_jvm_counts(text: str) -> None:
    assert width(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


@pytest.mark.parametrize(
    ("tag", "shaped"), [("EN-us", "en-US"), ("es", "es"), ("zh-hans-cn", "zh-Hans-CN")]
)
def test_language_tags_have_one_shape(tag: str, shaped: str) -> None:
    assert language_tag(tag) == shaped


@pytest.mark.parametrize("tag", ["", "e", "english language", "en_US", "en-"])
def test_what_is_no_language_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="is not a language tag"):
        language_tag(tag)


def test_a_line_is_spoken_in_the_nearest_language() -> None:
    line = {"en-US": "Hello.", "es-MX": "Hola."}
    assert in_language("Hi.", "fr") == "Hi."
    assert [with_tag(line, tag, "en-US") for tag in ("es-MX", "es-US", "fr")] == [
        ("Hola.", "es-MX"),
        ("Hola.", "es-MX"),
        ("Hello.", "en-US"),
    ]
    assert with_tag("Hi.", "es", "en-GB") == ("Hi.", "en-GB")
    assert with_tag({}, "es", "en-GB") == ("", "en-GB")
