"""Voice, model, limits and spoken lines of a tenant: the parts of its file that are not routing."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from dispatch.routes import FlowSid, Strict
from dispatch.text import LanguageTag, Spoken

EntryKind: TypeAlias = Literal["studio", "number", "bin"]
Fact = Annotated[str, StringConstraints(min_length=1, max_length=500)]


def _country(code: str) -> str:
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{code!r} is no country whose telephone numbers are known, such as 'US'")
    return code


Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), AfterValidator(_country)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone such as 'America/New_York'") from None
    return name


class Business(Strict):
    """Who the assistant speaks for, and what it may say."""

    name: str = Field(min_length=1, max_length=80)
    about: str = Field(default="", max_length=500)
    facts: tuple[Fact, ...] = Field(
        default=(), description="All that the assistant may state as true."
    )
    tone: str = Field(default="warm, calm and brief", max_length=200)
    languages: tuple[LanguageTag, ...] = Field(default=("en-US",), min_length=1)
    region: Region = Field(
        default="US", description="For telephone numbers said without a country code."
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC",
        description="IANA name; decides what 'today' is and dates the spoken reference.",
    )
    health_care: bool = Field(
        default=False, description="Keeps words of the call out of Flex Insights."
    )


class Entry(Strict):
    """How calls reach us; ``check`` warns about routes that cannot work for them."""

    via: tuple[EntryKind, ...] = Field(default=("number",), min_length=1)
    studio_flows: tuple[FlowSid, ...] = Field(default=(), description="Flows that send us calls.")


class ServerVad(Strict):
    """The caller's turn ends after silence."""

    kind: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=2000)
    silence_duration_ms: int = Field(default=500, ge=100, le=3000)
    idle_timeout_ms: int | None = Field(default=None, ge=5000, le=30_000)


class SemanticVad(Strict):
    """The caller's turn ends when the sentence seems complete."""

    kind: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


Vad: TypeAlias = Annotated[ServerVad | SemanticVad, Field(discriminator="kind")]


class Transcription(Strict):
    """The caller's words as text: needed for triggers, records and what agents read."""

    model: str = Field(default="gpt-transcribe", min_length=1)
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")] | None = Field(
        default=None, description="ISO 639-1; leave out to let it be detected."
    )
    keywords: tuple[Annotated[str, StringConstraints(min_length=1, max_length=60)], ...] = ()


class Model(Strict):
    """The Realtime session. Every value has a default that suits a telephone line."""

    model: str = Field(default="gpt-realtime-2.1", min_length=1)
    voice: str = Field(default="marin", min_length=1)
    speed: float = Field(default=1.0, ge=0.25, le=1.5)
    reasoning_effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, le=4096)
    noise_reduction: Literal["near_field", "far_field", "off"] = "near_field"
    vad: Vad = ServerVad()
    transcription: Transcription = Transcription()


class Lines(Strict):
    """Sentences that are said word for word, each one text or one for each language."""

    greeting: Spoken = Field(
        default="Thank you for calling. How can I help you today?",
        description="Empty: the caller speaks first.",
    )
    hold: Spoken = Field(
        default="One moment please.", description="When an answer takes longer than usual."
    )
    still_there: Spoken = "Are you still there?"
    apology: Spoken = "I am having trouble on my side. I am passing you on now."
    closing: Spoken = "One moment please."
    goodbye: Spoken = "Thank you for calling. Goodbye."
    unreachable: Spoken = Field(
        default="I am sorry, nobody can take your call right now. Please call again later.",
        description="When the last route has failed as well.",
    )


class Limits(Strict):
    """When the conversation ends without the model's decision, and how often we go round."""

    hops: int = Field(
        default=2,
        ge=1,
        le=2,
        description="Handovers of one call; then a person. The variable MAX_HOPS (2) comes first:"
        " beyond it the call goes to today's flow.",
    )
    decide_within_s: int = Field(default=120, ge=20, le=3_600)
    longest_call_s: int = Field(default=600, ge=30, le=3000)
    silence_s: int = Field(
        default=8, ge=3, le=60, description="Asked once whether the caller is there."
    )
    turns: int = Field(default=20, ge=2, le=1_000)
    person_requests: int = Field(
        default=2, ge=1, le=3, description="The how-manieth is granted at once."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Limits:
        if self.decide_within_s > self.longest_call_s:
            raise ValueError("'decide_within_s' must not exceed 'longest_call_s'")
        return self
