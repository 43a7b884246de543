"""Tenants as the running system needs them: the operator's file turned into sessions and scripts.

With a triage file (or a folder of them) everything about the conversation comes from there.
Without one, the environment describes a single tenant whose calls all go back to today's flow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.call.limits import CallLimits
from bridge.config import PoolSettings, Settings, TriageSettings
from bridge.errors import ConfigurationError
from bridge.protocol import realtime as rt
from dispatch import settings as file_settings
from dispatch.instructions import Instructions, build
from dispatch.policy import ANY_NUMBER, TenantPolicy
from dispatch.text import in_language
from dispatch.triggers import TriggerMatcher

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One business on this system. Nothing in it refers to another."""

    name: str
    policy: TenantPolicy
    matcher: TriggerMatcher
    instructions: Instructions
    session: rt.SessionSettings
    limits: CallLimits
    pool: PoolSettings
    plain: bool = False
    """Described by the environment alone: whatever is not answered goes to today's flow."""

    @property
    def vad_silence_ms(self) -> int:
        """What the server waits before it says that the caller stopped. 0 where it does not say."""
        vad = self.session.vad
        return vad.silence_duration_ms if isinstance(vad, rt.ServerVad) else 0

    def fixed_lines(self) -> list[str]:
        """Sentences worth keeping as audio, in every configured language."""
        names = ("greeting", "apology", "hold", "closing", "goodbye")
        spoken = (
            self.line(name, language)
            for name in names
            for language in self.policy.business.languages
        )
        return list(dict.fromkeys(text for text in spoken if text))

    def line(self, name: str, language: str | None = None) -> str:
        """One of the file's spoken lines, in the call's language or the tenant's first."""
        spoken = getattr(self.policy.lines, name)
        return in_language(spoken, language or self.policy.language)


class Tenants:
    """All tenants, by the number that was called."""

    def __init__(self, tenants: Sequence[Tenant]) -> None:
        self._hold(tuple(tenants))

    def _hold(self, tenants: tuple[Tenant, ...]) -> None:
        self.all = tenants
        self._by_name = {tenant.name: tenant for tenant in tenants}
        self._by_number = {number: one for one in tenants for number in one.policy.numbers}

    def become(self, others: Tenants) -> None:
        """From now on these are the tenants, for everybody who holds this object."""
        self._hold(others.all)

    def named(self, name: str) -> Tenant | None:
        return self._by_name.get(name)

    def for_number(self, called: str) -> Tenant | None:
        """Whose number it is; the tenant of every other number (``*``) where nobody's."""
        return self._by_number.get(called) or self._by_number.get(ANY_NUMBER)


def tenants_of(settings: Settings) -> Tenants:
    """Read the triage files, or describe the one tenant of the environment.

    Raises ``ConfigurationError`` with every fault of every file.
    """
    where = settings.triage
    if where.file is None and where.folder is None:
        return Tenants([_from_environment(settings)])
    policies = _policies(where)
    return Tenants([tenant_of(policy, settings) for policy in policies])


def _policies(where: TriageSettings) -> list[TenantPolicy]:
    """Raises ``ConfigurationError`` with every fault of every file."""
    from dispatch.triagefile import TriageFileError, load, load_folder

    try:
        if where.folder is not None:
            return [one.policy for one in load_folder(where.folder).by_name.values()]
        return [] if where.file is None else [load(where.file).policy]
    except TriageFileError as error:
        raise ConfigurationError([str(finding) for finding in error.findings]) from error


def file_faults(where: TriageSettings) -> list[str]:
    """Of the triage files alone, to be told with the faults of other settings."""
    try:
        _policies(where)
    except ConfigurationError as error:
        return error.faults
    return []


def tenant_of(policy: TenantPolicy, settings: Settings) -> Tenant:
    """One file's tenant. Raises ``ConfigurationError`` where the model would refuse a value."""
    instructions = build(policy, greeting_said=True)
    try:
        session = _session(policy.model, instructions)
    except ValueError as error:
        raise ConfigurationError([f"tenant {policy.tenant}: [model] {error}"]) from error
    limits = replace(
        settings.call,
        max_call_s=policy.limits.longest_call_s,
        undecided_s=policy.limits.decide_within_s,
        caller_silence_s=policy.limits.silence_s,
        max_turns=policy.limits.turns,
    )
    return Tenant(
        policy.tenant,
        policy,
        TriggerMatcher(policy),
        instructions,
        session,
        limits,
        settings.pool,
    )


def session_fault(policy: TenantPolicy) -> str | None:
    """What a model would refuse of a file that is sound by itself, beginning with the field."""
    try:
        _session(policy.model, build(policy, greeting_said=True))
    except ValueError as error:
        return str(error)
    return None


def _session(model: file_settings.Model, instructions: Instructions) -> rt.SessionSettings:
    vad: rt.ServerVad | rt.SemanticVad
    match model.vad:
        case file_settings.ServerVad() as server:
            vad = rt.ServerVad(
                server.threshold,
                server.prefix_padding_ms,
                server.silence_duration_ms,
                idle_timeout_ms=server.idle_timeout_ms,
            )
        case file_settings.SemanticVad(eagerness=eagerness):
            vad = rt.SemanticVad(eagerness)
    heard = model.transcription
    return rt.SessionSettings(
        model=model.model,
        voice=model.voice,
        instructions=instructions.text,
        tools=instructions.tools,
        vad=vad,
        noise_reduction=None if model.noise_reduction == "off" else model.noise_reduction,
        transcription=rt.Transcription(heard.model, heard.language, keywords=heard.keywords),
        speed=model.speed,
        max_output_tokens=model.max_output_tokens or "inf",
        reasoning_effort=model.reasoning_effort or "low",
    )


# --- without a triage file ------------------------------------------------------------------


def _from_environment(settings: Settings) -> Tenant:
    policy = _plain_policy(settings)
    built = build(policy, greeting_said=True)
    told = replace(built, text=f"{settings.openai.session.instructions}\n\n{built.text}")
    session = replace(settings.openai.session, instructions=told.text, tools=told.tools)
    return Tenant(
        DEFAULT_TENANT,
        policy,
        TriggerMatcher(policy),
        told,
        session,
        settings.call,
        settings.pool,
        plain=True,
    )


def _plain_policy(settings: Settings) -> TenantPolicy:
    """Everything goes to today's flow: back into Studio where there is one to go back to."""
    today: Mapping[str, object] = {"kind": "studio_return"}
    if settings.today.studio_flow_sid is not None:
        today = {**today, "flow_sid": settings.today.studio_flow_sid}
    file = {
        "tenant": DEFAULT_TENANT,
        "numbers": [ANY_NUMBER],
        "business": {"name": "the business that was called"},
        "lines": {"greeting": settings.greeting.text},
        # The people behind today's flow are reached through it; the route only has to exist.
        "routes": {"today": today, "people": {"kind": "voicemail"}},
        "default": {"route": "today"},
        "human": {"route": "people"},
        "intent": [
            {"name": "general", "description": "Whatever the caller wants.", "route": "today"}
        ],
    }
    return TenantPolicy.model_validate(file)
