"""What callers say of themselves, shown without its numbers."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli._numbers import HIDDEN, MOST_SHOWN, without_numbers
from bridge.cli._store import masked_words

SIX_DIGITS = re.compile(r"\d(?:[\W_]{0,3}\d){5}")

separators = st.text(
    st.characters(categories=["P", "S", "Z", "Cc", "Cf", "Pc"]), max_size=3
).filter(lambda text: not re.search(r"[^\W_]", unicodedata.normalize("NFC", text)))


@pytest.mark.parametrize(
    "number",
    [
        "+15550100008",
        "4155550142",
        "(415)555-0142",
        "415-555-0142",
        "1-415-555-0142",
        "415 5550142",
        "415, 555, 0142",
        "415/555/0142",
        "415 . 555 . 0142",
        "415_555_0142",
        "4 1 5 5 5 5 0 1 4 2",
        "4-1-5-5-5-5-0-1-4-2",
        "0800 555 0142",
        "020 7946 0958",
        "06 12 34 56 78",
        "0151 23456789",
        "4111 1111 1111 1111",
        "٤١٥٥٥٥٠١٤٢",
        "four one five, 9 5 3, 2 9 2 8",
        "four-one-five dash five five five dash oh one four two",
        "Four one five, uh, triple five, and then zero one forty-two",
        "eight hundred, five five five, nineteen fifty five",
        "cuatro uno cinco, cincuenta y cinco, cero uno",
        "seis doce, treinta y cuatro, cincuenta y seis, setenta y ocho",
        "nueve uno dos, trescientos cuarenta y cinco, doble seis",
        "zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit",
        "ze\u0301ro un, quatre-vingt-dix-sept, vingt et un, seize",
        "null eins fünf eins, dreiundzwanzig, fünfundvierzig",
        "null acht neun, zwo drei, vierhundertzwölf",
    ],
)
def test_a_number_is_hidden_however_it_was_said(number: str) -> None:
    for before, after in (("call ", ", thanks"), ("number:", ": thanks"), ("", ".")):
        shown = masked_words(f"{before}{number}{after}", reveal=False)
        assert shown == f"{before}{HIDDEN}{after}"


@pytest.mark.parametrize(
    "words",
    [
        "I can wait one or two days, no one is hurt.",
        "Oh, one moment. At once! The second one, please.",
        "We are at 94107, the big house, number 12.",
        "Come at 10:30 or at 4, not before.",
        "Four hundred and fifty dollars for two taps?",
        "It was built in nineteen fifty five and has twenty-five rooms.",
        "Son cuatrocientos quince dólares, uno o dos grifos.",
        "Ça fait quatre-vingt-dix-sept euros et dix cents.",
        "Es sind vierhundertfünfzehn Euro für ein bis zwei Tage.",
        "Someone often phones eightfold and twofold, not onetwothreefourfivesix.",
    ],
)
def test_ordinary_sentences_stay(words: str) -> None:
    assert masked_words(words, reveal=False) == words


def test_who_may_see_numbers_sees_them() -> None:
    assert masked_words("call\n4155550142", reveal=True) == "call 4155550142"


@given(st.lists(st.tuples(st.characters(categories=["Nd"]), separators), min_size=6), st.text())
def test_no_six_digits_in_a_row_are_shown(digits: list[tuple[str, str]], around: str) -> None:
    said = around + "".join(digit + between for digit, between in digits) + around
    assert SIX_DIGITS.search(said)
    assert not SIX_DIGITS.search(masked_words(said, reveal=False))


@given(st.text(st.sampled_from("0123456789 -._a+(\n…"), max_size=60))
def test_fewer_digits_than_six_stay_and_more_do_not(said: str) -> None:
    shown = without_numbers(said)
    assert not SIX_DIGITS.search(shown)
    if sum(char.isdigit() for char in said) <= MOST_SHOWN:
        assert shown == said


@given(st.text())
def test_hiding_twice_hides_no_more(said: str) -> None:
    once = without_numbers(said)
    assert without_numbers(once) == once


WORDS = {
    "en": "zero oh one two three four five six seven eight nine",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
    "de": "null eins zwei zwo drei vier fünf sechs sieben acht neun",
}


@given(st.data())
@pytest.mark.parametrize("language", WORDS)
def test_a_number_said_digit_by_digit_is_hidden(language: str, data: st.DataObject) -> None:
    digit = st.sampled_from(WORDS[language].split()) | st.sampled_from("0123456789")
    said = data.draw(st.lists(digit, min_size=6, max_size=16))
    between = data.draw(st.sampled_from([" ", ", ", "-", " - ", "... "]))
    assert without_numbers(f"My number: {between.join(said)}!") == f"My number: {HIDDEN}!"
