"""Trigger phrases in what the caller said: a path that never waits for the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from dispatch.intents import Intent
from dispatch.policy import TenantPolicy
from dispatch.words import Words, clauses, find, negated, words

_MAX_TEXT = 2000
"""Longer transcripts are not one caller's turn; the rest is not searched."""


@dataclass(frozen=True, slots=True)
class TriggerHit:
    intent: str
    phrase: str
    """As the operator's file has it."""


class TriggerMatcher:
    """Finds the triggers of one policy as whole words, whatever their case and accents.

    A phrase that the caller denies does not count ("it is not an emergency"), unless the denial is
    part of the phrase ("no heat"). Of several hits the intent of highest priority wins, emergencies
    first, then the order of the file.
    """

    def __init__(self, policy: TenantPolicy) -> None:
        ordered = sorted(policy.intents, key=lambda one: rank(one, policy))
        self._by_first_word: dict[str, list[tuple[int, Words, TriggerHit]]] = defaultdict(list)
        for place, (intent, phrase) in enumerate(_phrases(ordered)):
            split = words(phrase)
            if split:
                entry = (place, split, TriggerHit(intent, phrase))
                self._by_first_word[split[0]].append(entry)

    def match(self, text: str) -> TriggerHit | None:
        """The most important trigger that is said and not denied in ``text``."""
        hits = (hit for clause in clauses(text[:_MAX_TEXT]) for hit in self._hits(clause))
        return min(hits, key=lambda found: found[0], default=(0, None))[1]

    def _hits(self, clause: Words) -> Iterator[tuple[int, TriggerHit]]:
        spans = list(self._spans(clause))
        denied = {
            index
            for span, _, _ in spans
            if negated(clause, span.start, span.stop)
            for index in span
        }
        for span, place, hit in spans:
            # What is part of a denied phrase is denied with it: "no hay fuga de gas" is not gas.
            if not denied.issuperset(span):
                yield place, hit

    def _spans(self, clause: Words) -> Iterator[tuple[range, int, TriggerHit]]:
        for start, word in enumerate(clause):
            for place, phrase, hit in self._by_first_word.get(word, ()):
                stop = start + len(phrase)
                if clause[start:stop] == phrase:
                    yield range(start, stop), place, hit


def rank(intent: Intent, policy: TenantPolicy) -> tuple[bool, int]:
    """Sorts the intent that wins first: emergencies, then by priority."""
    route = policy.routes[intent.route]
    own = intent.priority if intent.priority is not None else getattr(route, "priority", 0)
    return not intent.emergency, -own


def _phrases(intents: list[Intent]) -> Iterator[tuple[str, str]]:
    return ((intent.name, phrase) for intent in intents for phrase in intent.triggers)


def shadowed_by(phrase: str, earlier: str) -> bool:
    """Whether whoever says ``phrase`` has said ``earlier`` as well."""
    return find(words(phrase), words(earlier)) is not None
