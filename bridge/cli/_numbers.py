"""Numbers within what was said, in digits and in words; text without them.

What callers say of themselves is mostly a number: of a telephone, a card, an account. It comes in
any country's grouping, and speech may be written down in words. So this hides more than it must:
dates and prices of six digits go as well.
"""

from __future__ import annotations

import re
import unicodedata

HIDDEN = "…"
MOST_SHOWN = 5
"""So many digits in a row stay: a time, a house number, a postal code."""

# --- number words of English, Spanish, French and German, by how many digits they stand for -----

_GERMAN = "eins?|zwei|zwo|drei|vier|f(?:ü|ue)nf|sechs|sieben|acht|neun"
_GERMAN_TEEN = "elf|zw(?:ö|oe)lf|(?:drei|vier|f(?:ü|ue)nf|sech|sieb|acht|neun)?zehn"
_GERMAN_TENS = (
    f"(?:(?:{_GERMAN})und)?(?:zwanzig|drei(?:ß|ss)ig|(?:vier|f(?:ü|ue)nf|sech|sieb|acht|neun)zig)"
)
_GERMAN_HUNDREDS = (
    f"(?:{_GERMAN})?(?:hundert|tausend)(?:und)?(?:{_GERMAN}|{_GERMAN_TEEN}|{_GERMAN_TENS})?"
)
_UNIT = (
    "oh?|zero|nought|naught|one|two|three|four|five|six|seven|eight|nine|niner|double"
    "|cero|un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|doble"
    "|z[ée]ro|une|deux|trois|quatre|cinq|sept|huit|neuf"
    f"|null|doppel|{_GERMAN}"
)
_TEEN = (
    "ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|hundred|triple|treble"
    "|diez|once|doce|trece|catorce|quince|dieci(?:s[eé]is|siete|ocho|nueve)|cien|ciento"
    "|veinti(?:un[oa]?|ún|d[oó]s|tr[eé]s|cuatro|cinco|s[eé]is|siete|ocho|nueve)"
    "|onze|douze|treize|quatorze|quinze|seize|cents?"
    f"|{_GERMAN_TEEN}|{_GERMAN_TENS}"
)
_TENS = (
    "twenty|thirty|fou?rty|fifty|sixty|seventy|eighty|ninety"
    "|veinte|treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa"
    "|dix|vingt|trente|quarante|cinquante|septante|huitante|octante|nonante"
)
_SCORES = r"soixante|quatre[\s-]vingts?"
_HUNDREDS = (
    f"(?:dos|tres|cuatro|quin|seis|sete|ocho|nove)c?ient[oa]s|thousand|mil|mille|{_GERMAN_HUNDREDS}"
)
_BETWEEN = (
    "and|y|et|und|then|uh|uhm?|um|erm?|eh|euh|[äe]hm?|dash|hyphen|minus|dot|point|slash|space|plus"
    "|gui[oó]n|raya|punto|barra|m[aá]s|tiret|trait|strich|bindestrich|punkt"
)

# --- numbers ------------------------------------------------------------------------------------

_ALONE = r"(?<![^\W\d_])(?:{})(?![^\W\d_])"
"""No part of a longer word."""
_JOINED = r"[\s-]{1,2}(?:(?:and|y|et)[\s-]{1,2})?"
_ONE = rf"\d|{_ALONE.format(_UNIT)}"
_TWO = _ALONE.format(
    rf"(?:{_SCORES})(?:{_JOINED}(?:dix[\s-](?:sept|huit|neuf)|dix|{_TEEN}|{_UNIT}))?"
    rf"|(?:{_TENS})(?:{_JOINED}(?:{_UNIT}))?|{_TEEN}"
)
_THREE = _ALONE.format(_HUNDREDS)
_ANY = f"(?:{_TWO}|{_THREE}|{_ONE})"
_GAP = rf"[\W_]{{0,5}}(?:{_ALONE.format(_BETWEEN)}[\W_]{{0,5}}){{0,2}}"

_number = re.compile(rf"(?P<two>{_TWO})|(?P<three>{_THREE})|{_ONE}", re.IGNORECASE)
_run = re.compile(rf"[+(]{{0,2}}{_ANY}(?:{_GAP}{_ANY})*", re.IGNORECASE)
_DIGITS = {"two": 2, "three": 3, None: 1}


def without_numbers(text: str) -> str:
    """``text`` with an ellipsis for every number of six digits or more, however it is grouped.

    Digits of any script and number words count together, across up to five characters that are no
    letters, and words such as "dash" and "and".
    """
    return _run.sub(_hidden, unicodedata.normalize("NFC", text))


def _hidden(run: re.Match[str]) -> str:
    digits = sum(_DIGITS[number.lastgroup] for number in _number.finditer(run.group()))
    return HIDDEN if digits > MOST_SHOWN else run.group()
