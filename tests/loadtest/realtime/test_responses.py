"""Interruptions, tools, out-of-band responses and the conversation's items, over a real socket."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from typing import Any

import orjson
import pytest

from loadtest.realtime import Scenario, SimulatedRealtime
from loadtest.realtime.scenario import Say, Step, Text
from loadtest.realtime.script import CallerTurn, ToolOutput
from tests.loadtest.realtime.conftest import FAST, INSTANT, TOOLS, Client, connected, speech

LONG = replace(FAST, scenario="long_answer")
ROUTE = replace(INSTANT, scenario="schedule")


async def start_long_answer(client: Client) -> dict[str, Any]:
    """Returns the first delta of the long answer."""
    await client.configure()
    await client.talk()
    return await client.until("response.output_audio.delta")


def spoken_ms(client: Client, item_id: str) -> int:
    deltas = client.all("response.output_audio.delta")
    return sum(len(b64decode(e["delta"])) for e in deltas if e["item_id"] == item_id) // 8


async def test_speech_interrupts_the_answer_and_deltas_still_trail() -> None:
    async with SimulatedRealtime(LONG) as server, connected(server) as client:
        delta = await start_long_answer(client)
        await client.append(speech())
        await client.until("input_audio_buffer.speech_started")
        after = len(client.events)
        done = await client.until("response.done")
    trailing = [e["type"] for e in client.events[after:]]
    assert trailing.count("response.output_audio.delta") in (1, 2, 3)
    assert trailing[-6:] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    response = done["response"]
    assert (response["status"], response["status_details"]) == (
        "cancelled",
        {"type": "cancelled", "reason": "turn_detected"},
    )
    (item,) = response["output"]
    assert (item["id"], item["status"]) == (delta["item_id"], "incomplete")
    spoken_tokens = response["usage"]["output_token_details"]["audio_tokens"]
    assert spoken_tokens == -(-spoken_ms(client, item["id"]) // 50)


async def test_after_an_interruption_the_call_goes_on() -> None:
    async with SimulatedRealtime(LONG) as server, connected(server) as client:
        await start_long_answer(client)
        await client.talk()
        await client.until("response.done")
        await client.until("response.done")
        responses = server.sessions[0].responses
    assert [(r.trigger, r.status, r.reason) for r in responses] == [
        (CallerTurn(1), "cancelled", "turn_detected"),
        (CallerTurn(2), "completed", None),
    ]


async def test_truncation_up_to_what_was_generated_is_recorded_and_beyond_is_refused() -> None:
    async with SimulatedRealtime(LONG) as server, connected(server) as client:
        delta = await start_long_answer(client)
        await client.append(speech())
        await client.until("response.done")
        generated_ms = spoken_ms(client, delta["item_id"])
        cut = {"item_id": delta["item_id"], "content_index": 0}
        beyond = generated_ms + 1
        await client.send("conversation.item.truncate", **cut, audio_end_ms=beyond)
        refused = await client.until("error")
        await client.send("conversation.item.truncate", **cut, audio_end_ms=100)
        truncated = await client.until("conversation.item.truncated")
        await client.send("conversation.item.truncate", **cut, audio_end_ms=101)
        again = await client.until("error")
        await client.send("conversation.item.retrieve", item_id=delta["item_id"])
        item = (await client.until("conversation.item.retrieved"))["item"]
        (truncation,) = server.sessions[0].truncations
    assert (refused["error"]["code"], refused["error"]["message"]) == (
        None,
        f"Audio content of {generated_ms} ms is already shorter than {beyond} ms",
    )
    assert again["error"]["message"] == "Audio content of 100 ms is already shorter than 101 ms"
    assert (truncated["item_id"], truncated["audio_end_ms"]) == (delta["item_id"], 100)
    assert (truncation.item_id, truncation.audio_end_ms, truncation.generated_ms) == (
        delta["item_id"],
        100,
        generated_ms,
    )
    assert item["content"] == [{"type": "output_audio"}]


async def test_only_spoken_items_can_be_truncated() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        content = [{"type": "output_text", "text": "Welcome."}]
        told = {"id": "told", "type": "message", "role": "assistant", "content": content}
        await client.send("conversation.item.create", item=told)
        await client.talk()
        committed = await client.until("input_audio_buffer.committed")
        for item_id in ("told", committed["item_id"]):
            await client.send(
                "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0
            )
            error = (await client.until("error"))["error"]
            assert (error["code"], error["message"]) == (
                "unsupported_content_type",
                "Only model output audio messages can be truncated",
            )


async def test_the_client_cancels_and_may_do_so_too_late() -> None:
    async with SimulatedRealtime(LONG) as server, connected(server) as client:
        delta = await start_long_answer(client)
        await client.send("response.cancel", response_id="resp_other")
        other = await client.until("error")
        await client.send("response.cancel", response_id=delta["response_id"])
        done = await client.until("response.done")
        await client.send("response.cancel", event_id="late")
        late = await client.until("error")
    assert done["response"]["status_details"] == {
        "type": "cancelled",
        "reason": "client_cancelled",
    }
    assert other["error"]["code"] == late["error"]["code"] == "response_cancel_not_active"
    assert late["error"]["message"] == "Cancellation failed: no active response found"
    assert late["error"]["event_id"] == "late"


async def test_one_response_at_a_time() -> None:
    async with SimulatedRealtime(LONG) as server, connected(server) as client:
        delta = await start_long_answer(client)
        await client.send("response.create", event_id="second")
        error = (await client.until("error"))["error"]
        await client.send("response.cancel")
        await client.until("response.done")
        await client.send("response.create")
        await client.until("response.created")
    assert error["code"] == "conversation_already_has_active_response"
    assert delta["response_id"] in error["message"]


async def test_a_tool_call_comes_in_three_events_and_its_output_is_answered() -> None:
    async with SimulatedRealtime(ROUTE) as server, connected(server) as client:
        await client.configure()
        for _ in range(3):
            await client.talk()
            done = await client.until("response.done")
        arguments = await _only_call(client, done)
        await client.answer_tool(arguments)
        await client.send("response.create")
        closing = await client.until("response.done")
        record = server.sessions[0]
    assert orjson.loads(arguments["arguments"]) == {
        "intent": "schedule",
        "summary": "Wants an appointment for a plumbing repair.",
        "confidence": 0.94,
        "sentiment": "neutral",
        "language": "en-US",
        "urgency": "low",
        "slots": {"name": "Rachel Kim", "callback": "+14157687785"},
    }
    assert closing["response"]["output"][0]["content"][0]["transcript"].startswith("Got it.")
    assert record.responses[-1].trigger == ToolOutput("route_call")
    (answer,) = record.tool_outputs
    assert (answer.call_id, answer.tool, answer.output) == (
        arguments["call_id"],
        "route_call",
        '{"ok":true}',
    )


async def _only_call(client: Client, done: dict[str, Any]) -> dict[str, Any]:
    """The one call of the last response, the same in all its events."""
    (finished,) = client.all("response.function_call_arguments.done")
    deltas = client.all("response.function_call_arguments.delta")
    (item,) = done["response"]["output"]
    items = [e["item"] for e in client.all("response.output_item.done")]
    assert len(deltas) > 5
    assert "".join(e["delta"] for e in deltas) == finished["arguments"] == item["arguments"]
    assert items[-1] == item
    assert {e["call_id"] for e in [*deltas, finished, item]} == {finished["call_id"]}
    assert item["status"] == "completed"
    return finished


async def test_several_items_and_calls_in_one_response() -> None:
    async with SimulatedRealtime(replace(INSTANT, scenario="many_items")) as server:
        async with connected(server) as client:
            await client.configure()
            await client.talk()
            done = await client.until("response.done")
            output = done["response"]["output"]
            for item in output[2:]:
                await client.answer_tool(item)
            await client.send("response.create")
            await client.until("response.done")
        assert [answer.tool for answer in server.sessions[0].tool_outputs] == [
            "lookup",
            "route_call",
        ]
    assert [item["type"] for item in output] == ["message"] * 2 + ["function_call"] * 2
    added = client.all("response.output_item.added")[:4]
    assert [(e["output_index"], e["item"]["id"]) for e in added] == [
        (index, item["id"]) for index, item in enumerate(output)
    ]
    assert spoken_ms(client, output[0]["id"]) == 3275 + 1385
    assert spoken_ms(client, output[1]["id"]) == 3785


async def test_a_tool_that_was_not_configured_is_not_called() -> None:
    async with SimulatedRealtime(replace(INSTANT, scenario="human")) as server:
        async with connected(server) as client:
            await client.configure(tools=[])
            await client.talk()
            done = await client.until("response.done")
        assert [(f.what, f.detail) for f in server.sessions[0].faults] == [
            ("unknown_tool", "escalate")
        ]
    assert done["response"]["output"] == []


FORCED = {
    "one that the step makes": ({"type": "function", "name": "end_call"}, ["end_call"]),
    "one that it does not": ({"type": "function", "name": "lookup"}, ["lookup"]),
    "any": ("required", ["message", "end_call"]),
    "none": ("none", ["message"]),
    "its own choice": ("auto", ["message", "end_call"]),
}


@pytest.mark.parametrize(("choice", "expected"), FORCED.values(), ids=FORCED.keys())
async def test_tool_choice_forces_and_forbids(choice: object, expected: list[str]) -> None:
    detection = {"type": "server_vad", "silence_duration_ms": 500, "create_response": False}
    async with (
        SimulatedRealtime(replace(INSTANT, scenario="faq")) as server,
        connected(server) as client,
    ):
        await client.configure(turn_detection=detection)
        await client.talk()
        await client.until("input_audio_buffer.committed")
        await client.send("response.create", response={"tool_choice": choice})
        done = await client.until("response.done")
    assert [item.get("name", item["type"]) for item in done["response"]["output"]] == expected


async def test_an_output_for_an_unknown_or_answered_call_is_told() -> None:
    async with SimulatedRealtime(replace(INSTANT, scenario="human")) as server:
        async with connected(server) as client:
            await client.configure()
            await client.answer_tool({"call_id": "call_none"})
            error = await client.until("error")
            await client.talk()
            done = await client.until("response.done")
            call = done["response"]["output"][0]
            await client.answer_tool(call)
            await client.answer_tool(call)
            record = await server.session()
            await record.wait_for(lambda record: len(record.tool_outputs) == 2)
        faults = [(fault.what, fault.detail) for fault in record.faults[1:]]
    assert error["error"]["code"] == "invalid_tool_call_id"
    assert faults == [("duplicate_tool_output", call["call_id"])]


async def test_an_out_of_band_response_runs_beside_and_leaves_no_trace() -> None:
    aside = Step("out_of_band", (Text('{"intent": "other"}'),), topic="intent")
    both = Scenario("both", (Step("turn", (Say(("long_answer",)),)), aside))
    async with (
        SimulatedRealtime(replace(FAST, scenario=both)) as server,
        connected(server) as client,
    ):
        await start_long_answer(client)
        wanted = {
            "conversation": "none",
            "output_modalities": ["text"],
            "metadata": {"topic": "intent"},
            "instructions": "Classify.",
            "input": [],
        }
        await client.send("response.create", response=wanted)
        text = await client.until("response.output_text.done")
        done = await client.until("response.done")
        spoken = await client.until("response.done")
    response = done["response"]
    assert (response["conversation_id"], response["metadata"]) == (None, {"topic": "intent"})
    assert response["output_modalities"] == ["text"]
    assert orjson.loads(text["text"])["intent"] == "other"
    in_conversation = {e["item"]["id"] for e in client.all("conversation.item.added")}
    assert response["output"][0]["id"] not in in_conversation
    assert spoken["response"]["status"] == "completed"


async def test_text_only_answers_are_written() -> None:
    async with SimulatedRealtime(ROUTE) as server, connected(server) as client:
        await client.configure(output_modalities=["text"])
        await client.talk()
        done = await client.until("response.done")
    assert done["response"]["output"][0]["content"] == [
        {"type": "output_text", "text": "Of course. May I have your name, please?"}
    ]
    assert client.all("response.output_audio.delta") == []


async def test_too_few_tokens_cut_the_answer_short() -> None:
    async with (
        SimulatedRealtime(replace(INSTANT, scenario="long_answer")) as server,
        connected(server) as client,
    ):
        await client.configure(max_output_tokens=40)
        await client.talk()
        done = await client.until("response.done")
    response = done["response"]
    assert (response["status"], response["status_details"]["reason"]) == (
        "incomplete",
        "max_output_tokens",
    )
    item_id = response["output"][0]["id"]
    assert 40 * 50 <= spoken_ms(client, item_id) <= 40 * 50 + 401


async def test_items_are_put_where_the_client_wants_them() -> None:
    def message(item_id: str) -> dict[str, object]:
        content = [{"type": "input_text", "text": item_id}]
        return {"id": item_id, "type": "message", "role": "user", "content": content}

    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.send("conversation.item.create", item=message("b"))
        await client.send("conversation.item.create", item=message("a"), previous_item_id="root")
        await client.send("conversation.item.create", item=message("ab"), previous_item_id="a")
        await client.send("conversation.item.create", item=message("c"))
        for _ in range(4):
            await client.until("conversation.item.done")
        added = client.all("conversation.item.added")
        await client.send("conversation.item.delete", item_id="ab")
        await client.until("conversation.item.deleted")
        assert server.sessions[0].deletions == ["ab"]
    assert [(e["item"]["id"], e["previous_item_id"]) for e in added] == [
        ("b", None),
        ("a", None),
        ("ab", "a"),
        ("c", "b"),
    ]


async def test_items_that_are_not_there_or_there_already_are_refused() -> None:
    item = {"id": "x", "type": "message", "role": "system", "content": []}
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.send("conversation.item.create", item=item)
        await client.send("conversation.item.create", item=item)
        await client.send(
            "conversation.item.create", item={**item, "id": "y"}, previous_item_id="no"
        )
        await client.send("conversation.item.retrieve", item_id="no")
        await client.send("conversation.item.delete", item_id="no")
        await client.send(
            "conversation.item.truncate", item_id="no", content_index=0, audio_end_ms=0
        )
        codes = [(await client.until("error"))["error"]["code"] for _ in range(5)]
    assert codes == [
        "item_create_duplicate_item_id",
        "item_create_invalid_previous_item_id",
        "item_retrieve_invalid_item_id",
        "item_delete_invalid_item_id",
        "item_truncate_invalid_item_id",
    ]


async def test_assistant_audio_can_not_be_created_again() -> None:
    part = {"type": "output_audio", "transcript": "hello"}
    item = {"type": "message", "role": "assistant", "content": [part]}
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure()
        await client.send("conversation.item.create", item=item)
        assert (await client.until("error"))["error"]["param"] == "item.content[0].type"


async def test_after_a_reconnect_the_script_goes_on_where_it_was() -> None:
    def said(role: str, text: str) -> dict[str, object]:
        kind = "output_text" if role == "assistant" else "input_text"
        return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}

    told = [
        said("assistant", "Thank you for calling Acme Plumbing."),
        said("user", "I would like to schedule an appointment to fix a leaky faucet next Tuesday."),
        said("assistant", "Of course. May I have your name, please?"),
    ]
    async with SimulatedRealtime(ROUTE) as server, connected(server) as client:
        await client.configure()
        for item in told:
            await client.send("conversation.item.create", item=item)
        await client.talk()
        transcript = await client.until("conversation.item.input_audio_transcription.completed")
        done = await client.until("response.done")
        texts = server.sessions[0].texts
    assert transcript["transcript"] == "My name is Rachel Kim."
    content = done["response"]["output"][0]["content"][0]
    assert content["transcript"].startswith("Thank you. What is the best number")
    assert texts == [(item["role"], item["content"][0]["text"]) for item in told]  # type: ignore[index]


async def test_a_marker_in_the_instructions_chooses_the_scenario() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.configure(instructions="You answer the phone. [scenario:faq]")
        await client.talk()
        done = await client.until("response.done")
        assert server.sessions[0].scenario == "faq"
    assert done["response"]["output"][0]["content"][0]["transcript"].startswith("We are open")


async def test_an_unknown_scenario_in_the_instructions_is_refused() -> None:
    async with SimulatedRealtime(INSTANT) as server, connected(server) as client:
        await client.until("session.created")
        session = {"type": "realtime", "instructions": "[scenario:opera]", "tools": TOOLS}
        await client.send("session.update", session=session)
        error = await client.until("error")
    assert error["error"]["param"] == "session.instructions"
    assert "no scenario 'opera'" in error["error"]["message"]
