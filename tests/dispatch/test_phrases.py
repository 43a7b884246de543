"""Who asks for a person, and who announces a transfer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.phrases import announces_transfer, wants_person


@pytest.mark.parametrize(
    "said",
    [
        "Can I please speak to a real person?",
        "Give me a human.",
        "Representative. Representative please.",
        "Operator!",
        "I do not want to talk to a machine.",
        "Could you put me through to Steve?",
        "I'd like to talk with someone, please",
        "Quiero hablar con una persona, por favor.",
        "¿Puede comunicarme con un agente?",
        "Necesito una persona",
        "Ich möchte mit einem Menschen sprechen.",
        "Kann ich mit jemandem reden?",
        "Mitarbeiter bitte",
        "Ich will nicht mit einer Maschine sprechen",
        "Je voudrais parler à un conseiller",
        "Je peux parler à quelqu'un ?",
        "Je veux une vraie personne",
    ],
)
def test_a_wish_for_a_person_is_heard(said: str) -> None:
    assert wants_person(said)


@pytest.mark.parametrize(
    "said",
    [
        "I don't want to speak to a person.",
        "I do not need to talk to anyone, just cancel it.",
        "Please send somebody right now.",
        "I need someone to come and look at a slow drain.",
        "Please put me on the calendar.",
        "Put me down for Tuesday.",
        "I do not want to talk about the washing machine again.",
        "My wife spoke with a lawyer about human rights.",
        "I am a person of few words.",
        "No quiero hablar con una persona",
        "Quiero una cita para el martes",
        "Ich möchte einen Termin",
        "Je voudrais un rendez-vous",
        "",
    ],
)
def test_other_words_are_no_wish_for_a_person(said: str) -> None:
    assert not wants_person(said)


def test_in_the_corpus_exactly_those_who_want_a_person_are_heard(
    corpus: list[dict[str, Any]],
) -> None:
    heard = {c["call_sid"] for c in corpus if any(wants_person(t["text"]) for t in c["turns"])}
    assert heard == {c["call_sid"] for c in corpus if c["studio"]["intent"] == "human"}


@pytest.mark.parametrize(
    "said",
    [
        "I am connecting you to a colleague. One moment please.",
        "I'll transfer you now.",
        "Okay. I will pass you on to billing.",
        "Let me put you through to our team.",
        "I have transferred your call to the front desk.",
        "You're being transferred right now.",
        "Please hold while I connect you.",
        "Le comunico con un agente.",
        "Voy a ver. Le paso con un compañero.",
        "Ich verbinde Sie jetzt mit einer Kollegin.",
        "Ich leite Sie weiter.",
        "Je vous mets en relation avec un conseiller.",
        "Je vous transfère.",
    ],
)
def test_an_announced_transfer_is_noticed(said: str) -> None:
    assert announces_transfer(said)


@pytest.mark.parametrize(
    "said",
    [
        "Would you like me to transfer you to billing?",
        "Shall I connect you with a colleague?",
        "I can connect you to billing if you like.",
        "Before I transfer you, may I have your name?",
        "I am unable to transfer you to that number.",
        "How can I help you?",
        "We connect water heaters to gas and to solar.",
        "I will pass the message on to Bob.",
        "¿Quiere que le comunique con un agente?",
        "Soll ich Sie verbinden?",
        "Voulez-vous que je vous transfère ?",
        "",
    ],
)
def test_an_offer_is_no_announcement(said: str) -> None:
    assert not announces_transfer(said)


def test_of_the_recorded_lines_exactly_the_announcing_ones_are_noticed(
    assistant_lines: dict[str, str],
) -> None:
    noticed = {name for name, text in assistant_lines.items() if announces_transfer(text)}
    assert noticed == {
        "confirm_schedule",
        "confirm_emergency",
        "confirm_billing",
        "transfer_human",
        "trouble",
    }


@given(said=st.text(max_size=300))
def test_any_text_gets_an_answer(said: str) -> None:
    assert wants_person(said) in (True, False)
    assert announces_transfer(said) in (True, False)
