"""Text as comparable words, clause by clause, and whether a word in it is negated."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TypeAlias

Words: TypeAlias = tuple[str, ...]

# Scripts written without spaces: every character is a word, so that phrases can be found in them.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_CLAUSE_END = re.compile(r"[.,;:!?…\n\u3002\u3001\uff0c\uff1f\uff01]+|\s[-\u2013\u2014]\s")
_APOSTROPHE = re.compile("['\u2018\u2019\u02bc`\u00b4]")

# "no gas", "kein Notfall", "sans gaz": negate the noun that follows, with little in between.
_DETERMINERS = frozenset(
    {"no", "without", "never", "sin", "ningun", "ninguna", "nunca"}
    | {"kein", "keine", "keinen", "keiner", "keinerlei", "ohne", "nie", "niemals"}
    | {"sans", "aucun", "aucune", "jamais"}
)
_BETWEEN_DETERMINER = frozenset(
    {"a", "an", "any", "real", "actual", "big", "more", "longer", "sign", "signs", "of", "smell"}
    | {"is", "it", "such", "kind", "sort"}
    | {"una", "un", "es", "hay", "senal", "de", "tengo", "tenemos", "huele", "huelo", "a", "ha"}
    | {"echter", "echten", "ein", "einen", "eine", "richtiger", "wirklicher"}
    | {"signe", "vraie", "vrai", "une", "odeur", "du"}
)

# "it is not an emergency", "ce n'est pas une urgence": negate across copulas and weak verbs. Any
# other verb ends the reach: "I can not stop the flooding" is a flood.
_ADVERBS = frozenset(
    {"not", "isnt", "arent", "wasnt", "werent", "dont", "doesnt", "didnt", "havent", "hasnt"}
    | {"hadnt", "aint", "cant", "cannot", "wont", "wouldnt"}
    | {"no", "tampoco"}
    | {"nicht"}
    | {"pas"}
)
_BETWEEN_ADVERB = frozenset(
    {"a", "an", "any", "the", "this", "that", "it", "its", "there", "theres", "i", "we", "you"}
    | {"is", "are", "was", "were", "be", "been", "being", "am", "have", "has", "had", "got"}
    | {"really", "actually", "exactly", "quite", "yet", "even", "currently", "like", "much"}
    | {"an", "kind", "sort", "of", "type", "real", "think", "believe", "say", "saying", "call"}
    | {"see", "smell", "hear", "want", "wanna", "need", "to", "looking", "for", "asking", "calling"}
    | {"about", "my", "our", "here", "in", "with", "speak", "talk"}
    | {"es", "una", "un", "la", "el", "hay", "ha", "habido", "tengo", "tenemos", "huelo", "huele"}
    | {"que", "creo", "sea", "veo", "realmente", "necesito", "quiero", "hablar", "con"}
    | {"ein", "eine", "einen", "der", "die", "das", "wirklich", "sehr", "so", "richtig", "mit"}
    | {"une", "de", "du", "d", "vraiment", "encore", "veux", "besoin", "parler", "avec", "le"}
)
_REACH = 6
"""A negation further away than this many words is about something else."""


def fold(text: str) -> str:
    """Case, accents and apostrophes taken off: ``Überflutung`` and ``uberflutung`` are one word."""
    bare = _APOSTROPHE.sub("", text)
    if bare.isascii():
        return bare.casefold()
    plain = unicodedata.normalize("NFKD", bare).casefold()
    return "".join(char for char in plain if not unicodedata.combining(char))


def words(text: str) -> Words:
    """The words of ``text``, folded, punctuation gone."""
    return tuple(_WORD.findall(fold(text)))


def clauses(text: str) -> list[Words]:
    """The words of each clause: cut at punctuation, since a negation does not reach across it."""
    found = (words(clause) for clause in _CLAUSE_END.split(text))
    return [clause for clause in found if clause]


def negated(clause: Sequence[str], start: int, end: int | None = None) -> bool:
    """Whether the words of ``clause`` from ``start`` (to ``end``) are denied by a word before them.

    A negation reaches over articles, copulas and weak verbs, and stops at any other word. German
    may deny afterwards ("es brennt nicht").
    """
    for index in range(start - 1, max(start - 1 - _REACH, -1), -1):
        word = clause[index]
        between = clause[index + 1 : start]
        if word in _DETERMINERS and all(one in _BETWEEN_DETERMINER for one in between):
            return True
        if word in _ADVERBS and all(one in _BETWEEN_ADVERB for one in between):
            return not (word == "no" and index == 0 and _affirmed(between))
    return end is not None and list(clause[end:]) == ["nicht"]


def _affirmed(between: Sequence[str]) -> bool:
    """Whether a leading "no" is an answer of its own: "no there is gas"."""
    return any(word in {"there", "theres", "it", "its", "this", "i", "we"} for word in between)


def find(clause: Sequence[str], phrase: Words, start: int = 0) -> int | None:
    """Where ``phrase`` begins in ``clause`` as whole words, at or after ``start``."""
    for index in range(start, len(clause) - len(phrase) + 1):
        if tuple(clause[index : index + len(phrase)]) == phrase:
            return index
    return None
