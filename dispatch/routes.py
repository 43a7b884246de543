"""The nine kinds of places a call can go. Nothing outside the operator's file is reachable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from dispatch.names import ADDED_BY_TWILIO, RESERVED_ATTRIBUTES, STUDIO_WORDS
from dispatch.text import Spoken

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
AccountSid = Annotated[str, StringConstraints(pattern=r"^AC[0-9a-fA-F]{32}$")]
FlowSid = Annotated[str, StringConstraints(pattern=r"^FW[0-9a-fA-F]{32}$")]
WorkflowSid = Annotated[str, StringConstraints(pattern=r"^WW[0-9a-fA-F]{32}$")]
WorkspaceSid = Annotated[str, StringConstraints(pattern=r"^WS[0-9a-fA-F]{32}$")]
SipAddress = Annotated[
    str, StringConstraints(pattern=r"^sips?:[^\s<>@]+@[^\s<>@]+$", max_length=255)
]
EmailAddress = Annotated[
    str, StringConstraints(pattern=r"^[^\s<>@,;]+@[^\s<>@,;]+\.[^\s<>@,;]+$", max_length=254)
]
HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[^\s<>\"]+$", max_length=2000)]

MAX_PRIORITY = 2**31 - 1
MAX_TASK_TIMEOUT_S = 1_209_600
"""Twilio's own limits for a Task."""


def _attribute_keys(values: dict[str, Any]) -> dict[str, Any]:
    for key in values:
        if key in ADDED_BY_TWILIO:
            raise ValueError(f"{key!r} is an attribute that Twilio sets itself; use another name")
        if key in RESERVED_ATTRIBUTES:
            raise ValueError(f"{key!r} is an attribute that is always sent; use another name")
        if not key or len(key) > 64:
            raise ValueError(f"{key!r} is not a usable attribute name (1 to 64 characters)")
    return values


def _parameter_keys(values: dict[str, str]) -> dict[str, str]:
    for key in STUDIO_WORDS & values.keys():
        raise ValueError(f"{key!r} is a word of Studio's own protocol; use another name")
    return values


AttributeValue: TypeAlias = str | bool | int | float | list[str]
Attributes = Annotated[dict[str, AttributeValue], AfterValidator(_attribute_keys)]
Parameters = Annotated[dict[str, str], AfterValidator(_parameter_keys)]


class Strict(BaseModel):
    """A table of the operator's file: unknown keys are faults, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class StudioReturnRoute(Strict):
    """Back into the Studio flow that the call came from (``FlowEvent=return``).

    Only possible while that flow waits in its TwiML Redirect widget.
    """

    kind: Literal["studio_return"]
    flow_sid: FlowSid | None = Field(
        default=None,
        description="Only needed where the call does not tell which flow it came from.",
    )
    parameters: Parameters = Field(
        default={}, description="Further parameters for {{widgets.NAME.x}}."
    )


class StudioTriggerRoute(Strict):
    """A new incoming-call execution of a flow for the call that is ours now. Inbound calls only."""

    kind: Literal["studio_trigger"]
    flow_sid: FlowSid
    parameters: Parameters = {}


class StudioExecutionRoute(Strict):
    """A second, outbound execution by REST (a message, a call back), after which we hang up."""

    kind: Literal["studio_execution"]
    flow_sid: FlowSid
    from_number: E164 | None = Field(
        default=None, description="Default: the number that was called."
    )
    parameters: Parameters = {}
    say: Spoken = Field(default="", description="Said before hanging up.")


class FlexRoute(Strict):
    """A live call into a Flex (TaskRouter) workflow: ``<Enqueue>`` with a Task."""

    kind: Literal["flex"]
    workflow_sid: WorkflowSid
    workspace_sid: WorkspaceSid | None = Field(
        default=None, description="For `check --online`, and to look whether the Task appeared."
    )
    queue: str = Field(default="", max_length=64, description="Becomes the attribute `queue`.")
    priority: int = Field(
        default=0, ge=0, le=MAX_PRIORITY, description="Where the intent states none."
    )
    timeout_s: int = Field(default=3600, ge=1, le=MAX_TASK_TIMEOUT_S)
    wait_url: HttpsUrl | None = Field(default=None, description="TwiML to play while waiting.")
    attributes: Attributes = Field(
        default={}, description="Further Task attributes, for example skills."
    )


class CallbackTaskRoute(Strict):
    """A Task by REST for somebody to call back, after which we hang up. No audio travels."""

    kind: Literal["callback_task"]
    workspace_sid: WorkspaceSid
    workflow_sid: WorkflowSid
    task_channel: str = Field(default="default", min_length=1, max_length=64)
    queue: str = Field(default="", max_length=64)
    priority: int = Field(default=0, ge=0, le=MAX_PRIORITY)
    timeout_s: int = Field(default=86_400, ge=1, le=MAX_TASK_TIMEOUT_S)
    attributes: Attributes = {}
    say: Spoken = Field(default="", description="Said before hanging up.")


class DialRoute(Strict):
    """Another number or a SIP address; the callee may hear the summary first and accept."""

    kind: Literal["dial"]
    number: E164 | None = None
    sip: SipAddress | None = None
    timeout_s: int = Field(default=20, ge=5, le=600)
    caller_id: E164 | None = Field(default=None, description="Default: the caller's own number.")
    whisper: bool = Field(
        default=True, description="Speak the summary to the callee before connecting."
    )
    accept_digit: Annotated[str, StringConstraints(pattern=r"^[0-9]?$")] = Field(
        default="1",
        description="Key that the callee presses to accept; empty connects without asking.",
    )

    @model_validator(mode="after")
    def _one_address(self) -> DialRoute:
        if (self.number is None) == (self.sip is None):
            raise ValueError("needs exactly one of 'number' and 'sip'")
        return self


class VoicemailRoute(Strict):
    kind: Literal["voicemail"]
    prompt: Spoken = "Please leave a message after the tone."
    max_length_s: int = Field(default=120, ge=5, le=3600)
    silence_s: int = Field(default=5, ge=1, le=60, description="Silence that ends the recording.")
    transcribe: bool = False
    goodbye: Spoken = "Thank you. Goodbye."


class ResolveRoute(Strict):
    """Answered on the line: nothing more than a goodbye."""

    kind: Literal["resolve"]
    say: Spoken = Field(
        default="", description="Said before hanging up; the assistant has said goodbye."
    )


class PageRoute(Strict):
    """Tell the person on call by SMS and e-mail; the caller goes on to ``then``, or is told so."""

    kind: Literal["page"]
    sms: tuple[E164, ...] = ()
    email: tuple[EmailAddress, ...] = ()
    from_number: E164 | None = Field(
        default=None, description="Default: the number that was called."
    )
    say: Spoken = "We have alerted our person on call, who will call you back."
    then: Name | None = Field(default=None, description="Route that takes the caller afterwards.")

    @model_validator(mode="after")
    def _somebody(self) -> PageRoute:
        if not self.sms and not self.email:
            raise ValueError("needs at least one number in 'sms' or address in 'email'")
        return self


Route: TypeAlias = Annotated[
    StudioReturnRoute
    | StudioTriggerRoute
    | StudioExecutionRoute
    | FlexRoute
    | CallbackTaskRoute
    | DialRoute
    | VoicemailRoute
    | ResolveRoute
    | PageRoute,
    Field(discriminator="kind"),
]

RouteKind: TypeAlias = Literal[
    "studio_return",
    "studio_trigger",
    "studio_execution",
    "flex",
    "callback_task",
    "dial",
    "voicemail",
    "resolve",
    "page",
]

ENTERS_AUTOMATION: frozenset[RouteKind] = frozenset({"studio_return", "studio_trigger"})
"""Routes that may bring the call back to us."""
REACHES_PERSON: frozenset[RouteKind] = frozenset({"flex", "dial"})


def static_attributes(route: Route) -> Mapping[str, AttributeValue]:
    """What the operator adds to the Task of this route."""
    match route:
        case FlexRoute() | CallbackTaskRoute():
            return route.attributes
        case _:
            return {}


def route_parameters(route: Route) -> Mapping[str, str]:
    """What the operator adds to the address of this route's Studio flow."""
    match route:
        case StudioReturnRoute() | StudioTriggerRoute() | StudioExecutionRoute():
            return route.parameters
        case _:
            return {}
