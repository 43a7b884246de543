"""What callers and assistants say about being put through: English, Spanish, German, French."""

from __future__ import annotations

import itertools
import re

from dispatch.words import Words, clauses, negated

_MAX_TEXT = 2000
"""Longer text is not one turn; the rest is not searched."""


def _any_of(*patterns: str) -> re.Pattern[str]:
    """One pattern of several. ``_`` is the blank between two words; real blanks are layout."""
    tidy = (re.sub(r"\s+", "", pattern).replace("_", " ") for pattern in patterns)
    return re.compile("|".join(rf"\b(?:{pattern})\b" for pattern in tidy))


# All of these are matched against folded words: lower case, no accents, no apostrophes.
_PERSON = r"""
    (?:(?:a|an|the|your|some|any|another|real|live|actual|human|to)_)*
    (?:person|people|humans?(?:_being)?|agents?|operator|representative|rep|receptionist|somebody
    |someone|anybody|anyone|manager|supervisor|boss|owner|customer_service|front_desk|him|her|them)
"""
_ALONE = r"(?:person|human(?:_being)?|agent|operator|representative|manager|supervisor)"

_WANTS_PERSON = (
    _any_of(
        rf"(?:speak|talk|speaking|talking|chat)_(?:to|with)_{_PERSON}",
        rf"(?:transfer|connect|forward|redirect)_(?:me|us)_(?:\w+_)?(?:to|with)_{_PERSON}",
        r"put_(?:me|us)_through",
        rf"put_(?:me|us)_on_(?:to|with)_{_PERSON}",
        rf"(?:get|give|find)_(?:me|us)_{_PERSON}",
        rf"(?:want|need|prefer)_(?:a|an|another|some)_(?:(?:real|live|actual|human)_)*{_ALONE}",
        r"(?:somebody|someone|anybody|anyone)_who_can_(?:actually_|really_)?help",
        r"who(?:s|_is)_in_charge",
    ),
    _any_of(
        r"""(?:hablar|comuni(?:car|carme|queme)|pas[ae]me|pon(?:me|game)|transfierame)
        (?:_con|_a)* (?:_una?|_el|_la|_su|_algun)*
        _(?:persona|humano|agente|operadora?|representante|alguien|gerente|encargad[oa]
        |supervisora?)""",
        r"(?:quiero|necesito)_(?:a_)?(?:una?_)?(?:persona|humano|agente|operadora?)",
    ),
    _any_of(
        r"""mit_ (?:(?:einem|einer|ihrem|dem|der)_)? (?:(?:echten|richtigen|wirklichen|lebenden)_)?
        (?:menschen|mensch|mitarbeiter(?:in)?|person|kollegen|kollegin|chef|vorgesetzten
        |jemande?m?|jemand|berater) _(?:sprechen|reden|verbinden|verbunden)""",
        r"verbinden_sie_mich",
        r"""(?:will|mochte|brauche)_ (?:einen|eine)_ (?:(?:echten|echte|richtigen)_)?
        (?:menschen|person|mitarbeiter(?:in)?)""",
    ),
    _any_of(
        r"""parler_(?:a|avec)_ (?:(?:une?|votre|le|la)_)? (?:vraie?_)?
        (?:personne|humain|etre_humain|agent|conseill(?:er|ere)|operat(?:eur|rice)|responsable
        |quelqu_?un|directeur)""",
        r"passez_moi_\w+",
        r"je_veux_une?_(?:vraie?_)?(?:personne|humain|conseiller|agent)",
    ),
)
# A caller who only says whom they want: the whole clause, give or take a please.
_PERSON_ONLY = _any_of(
    r"""(?:(?:the|a|an|real|live|human|una?|einen?|eine|une)_)*
    (?:operator|representative|agent|human|human_being|person|customer_service|receptionist
    |operadora?|agente|representante|persona|mitarbeiter|mensch|kundendienst
    |operateur|operatrice|conseiller|conseillere|humain)
    (?:_please|_now|_por_favor|_bitte|_s_?il_vous_plait)*"""
)
_NOT = frozenset({"not", "dont", "no", "never", "nicht", "keiner", "keinem", "nie", "pas"})
_TALK = frozenset({"talk", "talking", "speak", "speaking", "hablar", "sprechen", "reden", "parler"})
_ARTICLES = frozenset(
    {"a", "an", "the", "this", "some", "your", "any", "to", "with"}
    | {"una", "un", "ein", "einer", "einem", "une"}
)
_MACHINE = frozenset(
    {"machine", "robot", "bot", "computer", "recording", "ai"}
    | {"maquina", "maschine", "roboter", "ordinateur"}
)

_ANNOUNCES = _any_of(
    # About to, doing it, or having done it.
    r"""(?:i_am|im|i_will|ill|we_will|well|let_me|i_have|ive|going_to|you_are|youre)
    (?:_now|_just|_going_to|_being|_right_now)*
    _(?:connect|transferr?|forward|pass|put|putt|hand|rout|route|redirect)(?:ing|ed)?
    (?:_you|_your_call|_this_call)? (?:_now|_over|_straight|_right)*
    (?:_to|_with|_through|_over|_on|_now|$)""",
    r"(?:transferring|connecting|forwarding|redirecting)_(?:you|your_call)",
    r"(?:hold|stay)_(?:on_)?(?:the_line_)?while_i_(?:connect|transfer|put|get)",
    r"""(?:le|te|lo|la|los|las|les)_(?:voy_a_|estoy_)?
    (?:comunico|paso|pasare|transfiero|transferire|transfiriendo|comunicare|comunicar|conecto
    |conectare|transferir|pasar|pongo)""",
    r"(?:verbinde|leite|stelle|gebe)_(?:ich_)?(?:sie|dich|ihren_anruf)",
    r"ich_werde_(?:sie|dich)_.*(?:verbinden|weiterleiten|durchstellen)",
    r"sie_werden_.*(?:verbunden|weitergeleitet)",
    r"je_(?:vous|te)_(?:transfere|passe|connecte|redirige|mets_en_(?:relation|communication))",
    r"je_vais_(?:vous|te)_(?:transferer|passer|connecter|rediriger|mettre_en_relation)",
)
# An offer, a condition or a refusal announces nothing.
_ONLY_OFFERS = _any_of(
    r"""would_you_like|do_you_want|shall_i|should_i|may_i|can_i|could_i|if_you|before_i
    |cannot|cant|can_not|unable|not_able""",
    r"quiere|desea|no_puedo|antes_de",
    r"mochten_sie|soll_ich|wenn_sie|bevor|kann_ich_nicht",
    r"voulez_vous|souhaitez_vous|si_vous|ne_peux_pas|avant_de",
)


def wants_person(text: str) -> bool:
    """Whether the caller asks for a human being, and does not deny it."""
    for clause in clauses(text[:_MAX_TEXT]):
        joined = " ".join(clause)
        if _PERSON_ONLY.fullmatch(joined) or _averse_to_machine(clause):
            return True
        for pattern in _WANTS_PERSON:
            found = pattern.search(joined)
            if found and not negated(clause, joined[: found.start()].count(" ")):
                return True
    return False


def _averse_to_machine(clause: Words) -> bool:
    """Whether the clause denies, then speaks of talking and of a machine, in either order.

    "A machine", not "the washing machine".
    """
    denial = next((index for index, word in enumerate(clause) if word in _NOT), len(clause))
    after = clause[denial:]
    machine = any(
        word in _MACHINE and before in _ARTICLES for before, word in itertools.pairwise(after)
    )
    return machine and not _TALK.isdisjoint(after)


def announces_transfer(text: str) -> bool:
    """Whether the assistant says that it is putting the caller through, or has done so.

    Offers and questions do not count. For the watchdog: whoever announces must also act.
    """
    for sentence in re.split(r"(?<=[.!?…])\s+", text[:_MAX_TEXT]):
        joined = " ".join(word for clause in clauses(sentence) for word in clause)
        if sentence.rstrip().endswith("?") or _ONLY_OFFERS.search(joined):
            continue
        if _ANNOUNCES.search(joined):
            return True
    return False
