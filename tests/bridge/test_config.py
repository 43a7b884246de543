"""Settings: what a healthy environment gives, and how each mistake is named."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import Settings
from bridge.errors import ConfigurationError
from bridge.origin import Origin
from bridge.protocol.realtime_session import SemanticVad, SessionSettings, Transcription

ACCOUNT = "AC" + "0" * 32
FLOW = "FW" + "0" * 32
MINIMAL = {
    "OPENAI_API_KEY": "sk-made-up",
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": "made-up-token",
    "PUBLIC_URL": "https://voice.example.com",
    "STUDIO_FLOW_SID": FLOW,
}


def faults_of(environ: dict[str, str], **listening: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environ, **listening)  # type: ignore[arg-type]
    return caught.value.faults


def test_five_variables_are_enough() -> None:
    settings = Settings.from_env(MINIMAL)
    assert settings.web.origin == Origin("https", "voice.example.com")
    assert settings.openai.session.model == "gpt-realtime-2.1"
    assert settings.openai.url == "wss://api.openai.com/v1/realtime"
    assert settings.pool.size == 2
    assert settings.greeting.text == "Thank you for calling. How can I help you today?"
    assert (settings.web.host, settings.web.port) == ("127.0.0.1", 8080)


def test_an_empty_environment_names_everything_that_is_missing_at_once() -> None:
    assert faults_of({}) == [
        "OPENAI_API_KEY is not set, expected the key of the Realtime API",
        "TWILIO_ACCOUNT_SID is not set, expected the account whose calls are taken",
        "TWILIO_AUTH_TOKEN is not set, expected the token that signs Twilio's requests",
        (
            "neither FALLBACK_URL nor STUDIO_FLOW_SID is set: "
            "a call that the AI does not take would have nowhere to go"
        ),
        "PUBLIC_URL is not set, expected the https:// address that Twilio calls",
    ]


def test_insecure_local_needs_only_a_simulated_model() -> None:
    settings = Settings.from_env(
        {"REALTIME_URL": "ws://127.0.0.1:9000/v1/realtime"}, port=0, insecure_local=True
    )
    assert settings.web.origin == Origin("http", "127.0.0.1", 0)
    assert settings.bound_to(4711).web.origin == Origin("http", "127.0.0.1", 4711)
    assert settings.bound_to(4711).web.port == 4711


BAD_VALUES = {
    "a count that is a word": ("MAX_CALLS", "many", "expected a whole number from 1 to 10000"),
    "a count with a fraction": ("POOL_SIZE", "1.5", "expected a whole number from 0 to 100"),
    "a share above one": ("VAD_THRESHOLD", "1.1", "expected a number from 0 to 1"),
    "not a number": ("VAD_THRESHOLD", "nan", "expected a number from 0 to 1"),
    "endless": ("MAX_CALL_S", "inf", "expected a number from 30 to 3300"),
    "an unknown choice": ("LOG_FORMAT", "xml", "expected one of json, console"),
    "a foreign SID": ("TWILIO_ACCOUNT_SID", FLOW, "expected AC and 32 hexadecimal digits"),
    "a flow by its name": ("STUDIO_FLOW_SID", "Main", "expected FW and 32 hexadecimal digits"),
    "a language by its name": (
        "TRANSCRIPTION_LANGUAGE",
        "english",
        "expected two letters of ISO 639-1, such as en",
    ),
    "a public address that is plain": (
        "PUBLIC_URL",
        "http://voice.example.com",
        "expected https://; http:// only for loopback",
    ),
    "a public address with a path": (
        "PUBLIC_URL",
        "https://voice.example.com/twilio",
        "expected scheme, host and port only, such as https://voice.example.com",
    ),
    "a public address without a scheme": (
        "PUBLIC_URL",
        "voice.example.com",
        "expected an address such as https://voice.example.com",
    ),
    "a public address with a bad port": (
        "PUBLIC_URL",
        "https://voice.example.com:99999",
        "expected a well-formed address",
    ),
    "a model across the network in the clear": (
        "REALTIME_URL",
        "ws://model.example.com/v1/realtime",
        "expected wss://, as the key would travel unencrypted; ws:// only to loopback",
    ),
    "a model address that names the model": (
        "REALTIME_URL",
        "wss://api.openai.com/v1/realtime?model=x",
        "expected no user, query or fragment; the model is REALTIME_MODEL",
    ),
    "a fallback in the clear": (
        "FALLBACK_URL",
        "http://ivr.example.com",
        "expected https://; http:// only to loopback",
    ),
    "a missing triage file": ("TRIAGE_FILE", "no-such.toml", "expected a file"),
}


@pytest.mark.parametrize(("name", "value", "expected"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_bad_value_is_shown_beside_what_was_expected(
    name: str, value: str, expected: str
) -> None:
    assert faults_of(MINIMAL | {name: value}) == [f"{name} is '{value}', {expected}"]


CONTRADICTIONS = {
    "eagerness without semantic VAD": (
        {"VAD_EAGERNESS": "low"},
        ["VAD_EAGERNESS is set, which VAD_KIND server_vad does not use"],
    ),
    "silence with semantic VAD": (
        {"VAD_KIND": "semantic_vad", "VAD_SILENCE_MS": "500", "VAD_PREFIX_MS": "300"},
        [
            "VAD_PREFIX_MS is set, which VAD_KIND semantic_vad does not use",
            "VAD_SILENCE_MS is set, which VAD_KIND semantic_vad does not use",
        ],
    ),
    "effort of a model that has none": (
        {"REASONING_EFFORT": "low", "REALTIME_MODEL": "gpt-realtime-1.5"},
        ["REASONING_EFFORT is set, which REALTIME_MODEL 'gpt-realtime-1.5' does not take"],
    ),
    "half an API key": (
        {"TWILIO_API_KEY": "SK" + "0" * 32},
        ["TWILIO_API_KEY and TWILIO_API_SECRET belong together, but only one is set"],
    ),
    "a decision later than the end": (
        {"MAX_CALL_S": "60", "UNDECIDED_S": "90"},
        ["UNDECIDED_S (90) is longer than MAX_CALL_S (60)"],
    ),
    "instructions twice": (
        {"REALTIME_INSTRUCTIONS": "Be brief.", "INSTRUCTIONS_FILE": __file__},
        ["REALTIME_INSTRUCTIONS and INSTRUCTIONS_FILE are both set, expected at most one of them"],
    ),
    "from Studio, but from which flow": (
        {"ENTRY": "studio", "STUDIO_FLOW_SID": "", "FALLBACK_URL": "https://ivr.example.com"},
        ["ENTRY is 'studio', but STUDIO_FLOW_SID does not name the flow to return to"],
    ),
    "an empty token among several": (
        {"TWILIO_AUTH_TOKEN": "one,,two"},
        ["TWILIO_AUTH_TOKEN has an empty part, expected values with commas between them"],
    ),
}


@pytest.mark.parametrize(("changes", "faults"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_contradiction_is_named(changes: dict[str, str], faults: list[str]) -> None:
    assert faults_of(MINIMAL | changes) == faults


def test_insecure_local_is_refused_for_anything_but_loopback() -> None:
    environ = MINIMAL | {"PUBLIC_URL": "https://a.example"}
    everywhere = "0.0.0.0"  # noqa: S104 - refused here
    assert faults_of(environ, host=everywhere, insecure_local=True) == [
        "--insecure-local with --host 0.0.0.0: unsigned calls are served on loopback only",
        "PUBLIC_URL is 'https://a.example', expected a loopback address with --insecure-local",
    ]


def test_several_auth_tokens_may_sign_during_a_rotation() -> None:
    settings = Settings.from_env(MINIMAL | {"TWILIO_AUTH_TOKEN": "new,old"})
    assert [token.get_secret_value() for token in settings.twilio.auth_tokens] == ["new", "old"]


def test_no_secret_shows_in_settings_or_faults() -> None:
    hidden = MINIMAL | {"OPENAI_API_KEY": "sk-hidden", "TWILIO_AUTH_TOKEN": "hidden-token"}
    settings = Settings.from_env(hidden)
    assert "hidden" not in f"{settings!r} {settings!s} {settings.openai.api_key}"
    faults = faults_of(hidden | {"OPENAI_API_KEY": "sk hidden"})
    assert faults == ["OPENAI_API_KEY holds a space or a character that no key has"]


def test_an_empty_greeting_lets_the_caller_speak_first() -> None:
    assert Settings.from_env(MINIMAL | {"GREETING": ""}).greeting.text == ""


def test_the_session_is_as_the_environment_says() -> None:
    environ = {
        "REALTIME_MODEL": "gpt-realtime-2.1-mini",
        "REALTIME_VOICE": "cedar",
        "REALTIME_INSTRUCTIONS": "Be brief.",
        "VAD_KIND": "semantic_vad",
        "VAD_EAGERNESS": "low",
        "NOISE_REDUCTION": "off",
        "TRANSCRIPTION_LANGUAGE": "de",
        "REASONING_EFFORT": "minimal",
    }
    assert Settings.from_env(MINIMAL | environ).openai.session == SessionSettings(
        model="gpt-realtime-2.1-mini",
        voice="cedar",
        instructions="Be brief.",
        vad=SemanticVad("low"),
        noise_reduction=None,
        transcription=Transcription("gpt-transcribe", "de"),
        reasoning_effort="minimal",
    )


def test_transcription_can_be_switched_off() -> None:
    settings = Settings.from_env(MINIMAL | {"TRANSCRIPTION_MODEL": "off"})
    assert settings.openai.session.transcription is None


def test_instructions_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "instructions.txt"
    file.write_text("Answer in verse.\n", encoding="utf-8")
    settings = Settings.from_env(MINIMAL | {"INSTRUCTIONS_FILE": str(file)})
    assert settings.openai.session.instructions == "Answer in verse."


def test_instructions_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.touch()
    binary.write_bytes(b"\xff\xfe\x00")
    missing = tmp_path / "missing.txt"
    assert [
        faults_of(MINIMAL | {"INSTRUCTIONS_FILE": str(path)})[0].removeprefix("INSTRUCTIONS_FILE ")
        for path in (empty, binary, missing)
    ] == [
        f"'{empty}' holds 0 characters, expected 1 to 64000",
        f"'{binary}' cannot be read: it is not UTF-8",
        f"'{missing}' cannot be read: No such file or directory",
    ]


def test_a_call_returns_to_the_flow_that_sent_it() -> None:
    today = Settings.from_env(MINIMAL).today
    flow = f"https://webhooks.twilio.com/v1/Accounts/{ACCOUNT}/Flows/{FLOW}"
    assert today.return_url(ACCOUNT, FLOW, {"intent": "a b&c"}) == (
        f"{flow}?FlowEvent=return&intent=a+b%26c"
    )
    assert today.trigger_url(ACCOUNT, FLOW) == f"{flow}?Trigger=incomingCall"


NETLOCS = {
    "https without a port": ("https://a.example", ("a.example", "a.example:443")),
    "https with its own port": ("https://a.example:443", ("a.example", "a.example:443")),
    "https with another port": ("https://a.example:8443", ("a.example:8443", "a.example")),
    "http with another port": ("http://127.0.0.1:8080", ("127.0.0.1:8080",)),
    "an IPv6 address": ("https://[::1]:8443", ("[::1]:8443", "[::1]")),
}


@pytest.mark.parametrize(("text", "netlocs"), NETLOCS.values(), ids=NETLOCS.keys())
def test_an_origin_knows_how_else_it_may_be_written(text: str, netlocs: tuple[str, ...]) -> None:
    assert Origin.parse(text).netlocs == netlocs


NAMES = st.sampled_from(
    [
        *MINIMAL,
        *("REALTIME_URL", "FALLBACK_URL", "STUDIO_RETURN_URL", "MAX_CALLS", "VAD_KIND", "GREETING"),
        *("VAD_THRESHOLD", "ENTRY", "INSTRUCTIONS_FILE", "TRIAGE_FOLDER", "DRAIN_S"),
    ]
)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80)


@given(environ=st.dictionaries(NAMES, TEXT | st.sampled_from(list(MINIMAL.values()))))
def test_any_environment_gives_settings_or_a_configuration_error(
    environ: dict[str, str],
) -> None:
    with suppress(ConfigurationError):
        Settings.from_env(MINIMAL | environ)
