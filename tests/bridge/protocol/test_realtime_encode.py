"""What the model's server is sent, judged by the API's own types."""

from __future__ import annotations

import base64
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import LocalProtocolError
from bridge.protocol import realtime
from bridge.protocol.realtime import (
    AddText,
    AddToolOutput,
    CancelResponse,
    ClearInputAudio,
    Command,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    SessionSettings,
    TruncateItem,
    encode,
    encode_append,
)
from tests.oracle_openai import OpenAIOracle

words = st.text(st.characters(codec="utf-8"))
ids = st.text("abcXYZ019_-", min_size=1, max_size=32)
naturals = st.integers(min_value=0, max_value=2**53)
COMMANDS: list[st.SearchStrategy[Command]] = [
    st.builds(AddText, st.sampled_from(("user", "system", "assistant")), words, st.none() | ids),
    st.builds(AddToolOutput, ids, words),
    st.builds(
        CreateResponse,
        st.none() | words,
        st.none() | st.sampled_from(("auto", "none", "required", "route_call")),
        st.none() | ids,
        st.dictionaries(st.text("abc", min_size=1, max_size=64), ids, max_size=16),
    ),
    st.builds(CancelResponse, st.none() | ids),
    st.builds(TruncateItem, ids, naturals, naturals),
    st.builds(DeleteItem, ids),
    st.builds(ClearInputAudio),
    st.builds(ConfigureSession, st.just(SessionSettings().to_wire())),
]


def command_of(vector: dict[str, Any]) -> Command:
    [(name, fields)] = vector["command"].items()
    command: Command = getattr(realtime, name)(**fields)
    return command


def test_every_command_is_sent_as_documented(
    to_model_vector: dict[str, Any], openai_oracle: OpenAIOracle
) -> None:
    sent = encode(command_of(to_model_vector))
    assert orjson.loads(sent) == to_model_vector["wire"]
    assert openai_oracle.client_faults(sent) == []


def test_what_the_server_would_refuse_is_not_sent(to_model_broken: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode(command_of(to_model_broken))
    assert str(caught.value) == to_model_broken["error"]


def test_no_command_is_left_out_of_the_check_below() -> None:
    assert len(COMMANDS) == len(get_args(Command))


@given(st.one_of(COMMANDS))
def test_every_command_is_valid_and_has_no_unknown_key(
    openai_oracle: OpenAIOracle, command: Command
) -> None:
    assert openai_oracle.client_faults(encode(command)) == []


@given(st.binary())
def test_audio_passes_as_it_came(openai_oracle: OpenAIOracle, audio: bytes) -> None:
    payload = base64.b64encode(audio).decode()
    sent = encode_append(payload)
    assert orjson.loads(sent) == {"type": "input_audio_buffer.append", "audio": payload}
    assert openai_oracle.client_faults(sent) == []


def test_a_limit_of_the_server_is_reached_but_not_passed(openai_oracle: OpenAIOracle) -> None:
    metadata = {f"{index:064}": "v" * 512 for index in range(16)}
    assert openai_oracle.client_faults(encode(CreateResponse(metadata=metadata))) == []
