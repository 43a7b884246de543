"""A tenant's triage file as one frozen value: the business, its intents, where each one goes."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from dispatch.crosscheck import FieldPath, Parts, contradictions
from dispatch.intents import DefaultDestination, Destination, Intent, PersonDestination
from dispatch.lookups import LookupTool
from dispatch.rollout import Admission, Guard, Rollout
from dispatch.routes import Name, PageRoute, Route, Strict
from dispatch.settings import Business, Entry, Limits, Lines, Model
from dispatch.slots import Slot

ANY_NUMBER = "*"


def _numbers(numbers: tuple[str, ...]) -> tuple[str, ...]:
    if ANY_NUMBER in numbers and len(numbers) > 1:
        raise ValueError("'*' takes every number; give either '*' or numbers, not both")
    if len(set(numbers)) < len(numbers):
        raise ValueError("holds the same number twice")
    return numbers


CalledNumbers = Annotated[
    tuple[Annotated[str, Field(pattern=r"^(\*|\+[1-9][0-9]{6,14})$")], ...],
    AfterValidator(_numbers),
]


class TriageFile(Strict):
    """The file as written: every table sound in itself, names not yet followed."""

    tenant: Name
    numbers: CalledNumbers = Field(
        min_length=1, description="Called numbers in E.164, or '*' for every other number."
    )
    business: Business
    entry: Entry = Entry()
    model: Model = Model()
    lines: Lines = Lines()
    limits: Limits = Limits()
    rollout: Rollout = Rollout()
    guard: Guard = Guard()
    admission: Admission = Admission()
    routes: dict[Name, Route] = Field(min_length=1)
    default: DefaultDestination
    human: PersonDestination
    intents: tuple[Intent, ...] = Field(alias="intent", min_length=1)
    tools: tuple[LookupTool, ...] = Field(default=(), alias="tool")


class TenantPolicy(TriageFile):
    """One tenant's rules, sound as a whole: every route that is named exists."""

    @model_validator(mode="after")
    def _hangs_together(self) -> TenantPolicy:
        intents: dict[FieldPath, Destination] = {
            ("intent", index): intent for index, intent in enumerate(self.intents)
        }
        parts = Parts(
            routes=self.routes,
            destinations={("default",): self.default, ("human",): self.human, **intents},
            intents={index: intent.name for index, intent in enumerate(self.intents)},
            tools={index: tool.name for index, tool in enumerate(self.tools)},
            then={
                name: route.then
                for name, route in self.routes.items()
                if isinstance(route, PageRoute) and route.then is not None
            },
            guard_page=self.guard.page,
            called=self.numbers,
        )
        faults = [f"{'.'.join(map(str, path))}: {text}" for path, text in contradictions(parts)]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def intent(self, name: str) -> Intent | None:
        """The intent called ``name``, if the file has one."""
        return next((intent for intent in self.intents if intent.name == name), None)

    def emergency_intent(self) -> Intent | None:
        return next((intent for intent in self.intents if intent.emergency), None)

    def tool(self, name: str) -> LookupTool | None:
        return next((tool for tool in self.tools if tool.name == name), None)

    def slot(self, intent: str, name: str) -> Slot | None:
        """The definition of slot ``name``: the intent's own, else of the first one having it."""
        own = self.intent(intent)
        ordered = [*([own] if own else []), *self.intents]
        return next((slot for one in ordered for slot in one.slots if slot.name == name), None)

    @property
    def language(self) -> str:
        """The language calls start in."""
        return self.business.languages[0]

    def language_for(self, chosen: str | None) -> str:
        """The language of the business that a menu before us chose, by its tag or the beginning of
        one; the language calls start in where it chose none of them ("2", "Klingon")."""
        wanted = (chosen or "").strip().lower()
        spoken = self.business.languages
        exact = (one for one in spoken if one.lower() == wanted)
        near = (one for one in spoken if one.split("-")[0] == wanted.split("-")[0])
        return next(exact, None) or next(near, self.language)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.business.timezone)
