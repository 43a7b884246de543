"""Trigger phrases: whole words, any case and accents, and not when denied."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.policy import TenantPolicy
from dispatch.triggers import TriggerHit, TriggerMatcher


@pytest.fixture(scope="module")
def matcher(policy: TenantPolicy) -> TriggerMatcher:
    raw = policy.model_dump(by_alias=True)
    raw["intent"][0]["triggers"] += ("gas", "brennt", "Notfall", "fuite de gaz", "urgence", "漏水")
    raw["intent"][2]["triggers"] = ("gas bill", "invoice")
    return TriggerMatcher(TenantPolicy.model_validate(raw))


@pytest.mark.parametrize(
    "said",
    [
        "My basement is FLOODING!",
        "Help, flooding.",
        "there is a burst pipe in my kitchen",
        "I smell gas near the heater",
        "we have no heat tonight",
        "I can not stop the flooding",
        "I can't turn it off, water is gushing out",
        "I do not know where the gas comes from",
        "It's not just a drip, it is flooding",
        "No, there is gas here",
        "no there is gas here",
        "I am not sure but there is gas",
        "Hay una inundacion en la cocina",
        "¡Es una EMERGENCIA!",
        "Es brennt im Keller",
        "Das ist ein Notfall",
        "Il y a une fuite de gaz",
        "我家漏水了",
        "not a big deal, well, sewage is coming up",
    ],
)
def test_a_trigger_fires(said: str, matcher: TriggerMatcher) -> None:
    hit = matcher.match(said)
    assert hit is not None
    assert hit.intent == "emergency"


@pytest.mark.parametrize(
    "said",
    [
        "It is not an emergency.",
        "This isn't really an emergency",
        "it\u2019s not an emergency at all",
        "There is no gas, I just want a quote.",
        "I don't have a gas leak",
        "I don't think it is an emergency",
        "without any flooding so far",
        "I don't smell gas",
        "No emergency, I only want to book a visit",
        "No es una emergencia",
        "no hay fuga de gas",
        "Das ist kein Notfall",
        "Es ist nicht wirklich ein Notfall",
        "Es brennt nicht",
        "Ce n'est pas une urgence",
        "il n'y a pas de fuite de gaz",
        "I live on Floodgate Street",
        "gasoline",
        "Las Vegas",
        "",
        "...",
    ],
)
def test_a_trigger_does_not_fire(said: str, matcher: TriggerMatcher) -> None:
    assert matcher.match(said) is None


def test_a_denied_trigger_does_not_hide_another_one(matcher: TriggerMatcher) -> None:
    hit = matcher.match("It is not an emergency, but my cellar is flooding.")
    assert hit == TriggerHit("emergency", "flooding")


def test_the_more_important_intent_wins(matcher: TriggerMatcher) -> None:
    assert matcher.match("my invoice is wrong") == TriggerHit("billing", "invoice")
    assert matcher.match("my invoice is wrong and sewage is everywhere") == TriggerHit(
        "emergency", "sewage"
    )


def test_of_the_corpus_exactly_the_emergencies_fire(
    policy: TenantPolicy, corpus: list[dict[str, Any]]
) -> None:
    matcher = TriggerMatcher(policy)
    fired = {
        call["call_sid"] for call in corpus if any(matcher.match(t["text"]) for t in call["turns"])
    }
    assert fired == {c["call_sid"] for c in corpus if c["studio"]["intent"] == "emergency"}


@given(said=st.text(max_size=400))
def test_any_text_is_a_hit_of_the_file_or_nothing(said: str, policy: TenantPolicy) -> None:
    hit = TriggerMatcher(policy).match(said)
    assert hit is None or hit.phrase in policy.intents[0].triggers


@pytest.mark.timeout(20)
def test_hours_of_babble_are_cut_short(matcher: TriggerMatcher) -> None:
    assert matcher.match("no no not a gas " * 100_000) is None
