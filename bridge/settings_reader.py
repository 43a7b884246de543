"""From environment variables to ``Settings``: names, defaults, ranges and contradictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from pydantic import SecretStr

from bridge.call.limits import CallLimits
from bridge.config import (
    DEFAULT_GREETING,
    DEFAULT_INSTRUCTIONS,
    DEFAULT_REALTIME_URL,
    GreetingSettings,
    LimitSettings,
    LogSettings,
    OpenAISettings,
    PoolSettings,
    Settings,
    TodaySettings,
    TriageSettings,
    TwilioSettings,
    WebSettings,
)
from bridge.environment import Environment, shown
from bridge.errors import ConfigurationError
from bridge.origin import Origin, is_loopback, split_url
from bridge.outward_settings import outward_settings
from bridge.protocol.realtime_session import (
    DEFAULT_MODEL,
    Eagerness,
    ReasoningEffort,
    SemanticVad,
    ServerVad,
    SessionSettings,
    Transcription,
    Vad,
    accepts_reasoning,
)
from bridge.store.settings import store_settings
from bridge.traffic_settings import traffic_settings

SID_OF_ACCOUNT = "AC[0-9a-f]{32}"
SID_OF_FLOW = "FW[0-9a-f]{32}"
STUDIO_URL = "https://webhooks.twilio.com/v1/Accounts/{account}/Flows/{flow}"
MAX_INSTRUCTION_CHARS = 64_000
SESSION_S = 3600
"""The Realtime API ends a session then."""
LOCAL_KEY = "none"
"""Sent to a model on this machine that was given no key; an empty one is no key to anybody."""


def read_settings(
    environ: Mapping[str, str], host: str, port: int, insecure_local: bool
) -> Settings:
    """Raises ConfigurationError with every fault found."""
    env = Environment(environ)
    openai = _openai(env, insecure_local)
    settings = Settings(
        openai=openai,
        twilio=twilio_settings(env, insecure_local),
        today=_today(env, insecure_local),
        greeting=_greeting(env, openai.url),
        pool=PoolSettings(
            size=env.integer("POOL_SIZE", 2, 0, 100),
            max_age_s=env.number("POOL_MAX_AGE_S", 1500, 10, SESSION_S - 600),
        ),
        limits=LimitSettings(
            max_calls=env.integer("MAX_CALLS", 300, 1, 10_000),
            max_hops=env.integer("MAX_HOPS", 2, 1, 10),
            stream_token_ttl_s=env.number("STREAM_TOKEN_TTL_S", 60, 5, 600),
            answer_wait_s=env.number("ANSWER_WAIT_S", 2.5, 0.1, 10),
            drain_s=env.number("DRAIN_S", 60, 0, SESSION_S),
        ),
        call=_call(env),
        web=_web(env, host, port, insecure_local),
        log=LogSettings(
            level=env.choice("LOG_LEVEL", ("debug", "info", "warning", "error"), "info"),
            format=env.choice("LOG_FORMAT", ("json", "console"), "json"),
        ),
        triage=_triage(env),
        outward=outward_settings(env, environ),
        store=store_settings(env, environ),
        traffic=traffic_settings(env),
    )
    if env.faults:
        raise ConfigurationError([*env.faults, *_of_the_files(settings.triage)])
    return settings


def _of_the_files(triage: TriageSettings) -> list[str]:
    """An operator who has to set things right wants to know all of them at once."""
    from bridge.tenants import file_faults

    missing = any(path is not None and not path.exists() for path in (triage.file, triage.folder))
    return [] if missing else file_faults(triage)


def _openai(env: Environment, insecure_local: bool) -> OpenAISettings:
    url, simulated = _realtime_url(env, insecure_local)
    api_key = env.secret("OPENAI_API_KEY")
    if not simulated and not env.has("OPENAI_API_KEY"):
        env.fault("OPENAI_API_KEY is not set, expected the key of the Realtime API")
    if simulated and api_key is None:
        api_key = SecretStr(LOCAL_KEY)
    return OpenAISettings(api_key=api_key, url=url, session=_session(env))


def _session(env: Environment) -> SessionSettings:
    noise: Literal["near_field", "far_field", "off"] = env.choice(
        "NOISE_REDUCTION", ("near_field", "far_field", "off"), "near_field"
    )
    effort: ReasoningEffort = env.choice("REASONING_EFFORT", get_args(ReasoningEffort), "low")
    model = env.text("REALTIME_MODEL", DEFAULT_MODEL)
    if env.has("REASONING_EFFORT") and not accepts_reasoning(model):
        env.fault(f"REASONING_EFFORT is set, which REALTIME_MODEL {shown(model)} does not take")
    return SessionSettings(
        model=model,
        voice=env.text("REALTIME_VOICE", "marin"),
        instructions=_instructions(env),
        vad=_vad(env),
        noise_reduction=None if noise == "off" else noise,
        transcription=_transcription(env),
        reasoning_effort=effort,
    )


def _realtime_url(env: Environment, insecure_local: bool) -> tuple[str, bool]:
    """The address, and whether it is a simulator's: on this machine."""
    url = env.text("REALTIME_URL", DEFAULT_REALTIME_URL)
    try:
        parts = split_url(url)
        local = is_loopback(parts.hostname or "")
        if parts.scheme not in ("wss", "ws") or not parts.hostname:
            raise ValueError(f"an address such as {DEFAULT_REALTIME_URL}")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("no user, query or fragment; the model is REALTIME_MODEL")
        if parts.scheme == "ws" and not (local or insecure_local):
            raise ValueError("wss://, as the key would travel unencrypted; ws:// only to loopback")
    except ValueError as expected:
        env.fault(f"REALTIME_URL is {shown(url)}, expected {expected}")
        return DEFAULT_REALTIME_URL, False
    return url, local


def _instructions(env: Environment) -> str:
    env.only_one_of("REALTIME_INSTRUCTIONS", "INSTRUCTIONS_FILE")
    path = env.text("INSTRUCTIONS_FILE")
    if not path:
        return env.text("REALTIME_INSTRUCTIONS", DEFAULT_INSTRUCTIONS)
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        env.fault(f"INSTRUCTIONS_FILE {shown(path)} cannot be read: {_why(error)}")
        return DEFAULT_INSTRUCTIONS
    if not 0 < len(text) <= MAX_INSTRUCTION_CHARS:
        env.fault(
            f"INSTRUCTIONS_FILE {shown(path)} holds {len(text)} characters, "
            f"expected 1 to {MAX_INSTRUCTION_CHARS}"
        )
    return text


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or "error") if isinstance(error, OSError) else "it is not UTF-8"


def _vad(env: Environment) -> Vad:
    kind = env.choice("VAD_KIND", ("server_vad", "semantic_vad"), "server_vad")
    foreign = {
        "server_vad": ("VAD_EAGERNESS",),
        "semantic_vad": ("VAD_THRESHOLD", "VAD_PREFIX_MS", "VAD_SILENCE_MS"),
    }[kind]
    for name in foreign:
        if env.has(name):
            env.fault(f"{name} is set, which VAD_KIND {kind} does not use")
    if kind == "semantic_vad":
        return SemanticVad(env.choice("VAD_EAGERNESS", get_args(Eagerness), "auto"))
    return ServerVad(
        threshold=env.number("VAD_THRESHOLD", 0.5, 0, 1),
        prefix_padding_ms=env.integer("VAD_PREFIX_MS", 300, 0, 2000),
        silence_duration_ms=env.integer("VAD_SILENCE_MS", 500, 100, 3000),
    )


def _transcription(env: Environment) -> Transcription | None:
    model = env.text("TRANSCRIPTION_MODEL", "gpt-transcribe")
    language = env.matching(
        "TRANSCRIPTION_LANGUAGE", "[a-z]{2}", "two letters of ISO 639-1, such as en"
    )
    if model.lower() == "off":
        return None
    return Transcription(model, language)


def twilio_settings(env: Environment, insecure_local: bool) -> TwilioSettings:
    """One branch of the settings; with ``insecure_local`` nothing has to be there."""
    settings = TwilioSettings(
        account_sid=env.matching(
            "TWILIO_ACCOUNT_SID", SID_OF_ACCOUNT, "AC and 32 hexadecimal digits"
        ),
        auth_tokens=env.secrets("TWILIO_AUTH_TOKEN"),
        api_key=env.matching("TWILIO_API_KEY", "SK[0-9a-f]{32}", "SK and 32 hexadecimal digits"),
        api_secret=env.secret("TWILIO_API_SECRET"),
    )
    if not insecure_local:
        for name, use in (
            ("TWILIO_ACCOUNT_SID", "the account whose calls are taken"),
            ("TWILIO_AUTH_TOKEN", "the token that signs Twilio's requests"),
        ):
            if not env.has(name):
                env.fault(f"{name} is not set, expected {use}")
    if env.has("TWILIO_API_KEY") != env.has("TWILIO_API_SECRET"):
        env.fault("TWILIO_API_KEY and TWILIO_API_SECRET belong together, but only one is set")
    return settings


def _today(env: Environment, insecure_local: bool) -> TodaySettings:
    settings = TodaySettings(
        entry=env.choice("ENTRY", ("number", "studio"), "number"),
        studio_flow_sid=env.matching(
            "STUDIO_FLOW_SID", SID_OF_FLOW, "FW and 32 hexadecimal digits"
        ),
        studio_url=_studio_url(env),
        fallback_url=_web_address(env, "FALLBACK_URL"),
    )
    if settings.entry == "studio" and not env.has("STUDIO_FLOW_SID"):
        env.fault("ENTRY is 'studio', but STUDIO_FLOW_SID does not name the flow to return to")
    if not insecure_local and not (env.has("STUDIO_FLOW_SID") or env.has("FALLBACK_URL")):
        env.fault(
            "neither FALLBACK_URL nor STUDIO_FLOW_SID is set: "
            "a call that the AI does not take would have nowhere to go"
        )
    return settings


def _studio_url(env: Environment) -> str:
    url = env.text("STUDIO_RETURN_URL", STUDIO_URL)
    _check_web_address(env, "STUDIO_RETURN_URL", url)
    if "?" in url:
        env.fault(f"STUDIO_RETURN_URL is {shown(url)}, expected no query: FlowEvent is added")
    return url


def _web_address(env: Environment, name: str) -> str | None:
    url = env.text(name)
    return url if url and _check_web_address(env, name, url) else None


def _check_web_address(env: Environment, name: str, url: str) -> bool:
    try:
        parts = split_url(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("an https:// address")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("https://; http:// only to loopback")
    except ValueError as expected:
        env.fault(f"{name} is {shown(url)}, expected {expected}")
        return False
    return True


def _greeting(env: Environment, realtime_url: str) -> GreetingSettings:
    folder = env.text("GREETING_CACHE")
    make_lines = env.choice("MAKE_LINES", ("auto", "on", "off"), "auto")
    simulated = is_loopback(split_url(realtime_url).hostname or "")
    home = env.text("XDG_CACHE_HOME") or str(Path(env.text("HOME", ".")) / ".cache")
    return GreetingSettings(
        text=env.verbatim("GREETING", DEFAULT_GREETING),
        cache_folder=Path(folder) if folder else Path(home) / "triage-bridge" / "greetings",
        make_lines=make_lines == "on" or (make_lines == "auto" and not simulated),
    )


def _call(env: Environment) -> CallLimits:
    usual = CallLimits()
    limits = CallLimits(
        max_call_s=env.number("MAX_CALL_S", usual.max_call_s, 30, SESSION_S - 300),
        undecided_s=env.number("UNDECIDED_S", usual.undecided_s, 10, SESSION_S),
        caller_silence_s=env.number("CALLER_SILENCE_S", usual.caller_silence_s, 3, 120),
        max_turns=env.integer("MAX_TURNS", usual.max_turns, 2, 500),
        closing_start_s=env.number("CLOSING_WAIT_S", usual.closing_start_s, 0.5, 30),
    )
    if limits.undecided_s > limits.max_call_s:
        env.fault(
            f"UNDECIDED_S ({limits.undecided_s:g}) is longer than MAX_CALL_S "
            f"({limits.max_call_s:g})"
        )
    return limits


def _web(env: Environment, host: str, port: int, insecure_local: bool) -> WebSettings:
    if insecure_local and not is_loopback(host):
        env.fault(
            f"--insecure-local with --host {host}: unsigned calls are served on loopback only"
        )
    return WebSettings(host, port, _origin(env, host, port, insecure_local), insecure_local)


def _origin(env: Environment, host: str, port: int, insecure_local: bool) -> Origin:
    text = env.text("PUBLIC_URL")
    listening = Origin("http", host.strip("[]"), port)
    if not text:
        if not insecure_local:
            env.fault("PUBLIC_URL is not set, expected the https:// address that Twilio calls")
        return listening
    try:
        origin = Origin.parse(text)
        if insecure_local and not origin.is_loopback:
            raise ValueError("a loopback address with --insecure-local")
        if origin.scheme == "http" and not origin.is_loopback:
            raise ValueError("https://; http:// only for loopback")
    except ValueError as expected:
        env.fault(f"PUBLIC_URL is {shown(text)}, expected {expected}")
        return listening
    return origin


def _triage(env: Environment) -> TriageSettings:
    env.only_one_of("TRIAGE_FILE", "TRIAGE_FOLDER")
    file, folder = env.text("TRIAGE_FILE"), env.text("TRIAGE_FOLDER")
    if file and not Path(file).is_file():
        env.fault(f"TRIAGE_FILE is {shown(file)}, expected a file")
    if folder and not Path(folder).is_dir():
        env.fault(f"TRIAGE_FOLDER is {shown(folder)}, expected a folder")
    return TriageSettings(Path(file) if file else None, Path(folder) if folder else None)
