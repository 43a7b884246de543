"""Nine people at once, as they were recorded: each of the nine routes gets the right one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from dispatch.triagefile import load
from dispatch.triggers import TriggerMatcher
from loadtest.corpus import Corpus
from loadtest.realtime import KnownCall
from loadtest.twilio import (
    Agent,
    Callee,
    CallResult,
    Clip,
    Dialled,
    FlexTask,
    Hangup,
    Outcome,
    Speak,
    StayOnLine,
    StudioReturn,
    StudioTrigger,
    Voicemail,
    WaitForStream,
)
from tests.bridge.e2e.conftest import Start
from tests.bridge.e2e.system import FILE, System, model, routes_to

# People pause within their sentences for longer than a test needs to wait for their end.
PATIENT = FILE.read_text(encoding="utf-8").replace(
    "silence_duration_ms = 200", "silence_duration_ms = 600"
)
MATCHER = TriggerMatcher(load(FILE).policy)


@dataclass(frozen=True)
class Person:
    """Somebody of the corpus, what the model makes of it, and where that has to lead."""

    sid: str
    turn: int
    intent: str
    arrives: type[Outcome]

    @property
    def clip(self) -> Clip:
        return Corpus().call(self.sid).clip(self.turn)

    @property
    def recording(self) -> bytes:
        return b"".join(frame.ulaw for frame in self.clip.frames)

    @property
    def words(self) -> str:
        return Corpus().call(self.sid).turns[self.turn - 1].text

    @property
    def from_number(self) -> str:
        return f"+1415555{int(self.sid[-4:], 16) % 10_000:04d}"


def people() -> list[Person]:
    """The shortest things that are said, one for each intent of the file."""
    wanted: dict[str, type[Outcome]] = {
        "schedule": StudioReturn,
        "sales": StudioTrigger,
        "quote": Hangup,
        "billing": FlexTask,
        "later": Hangup,
        "emergency": Dialled,
        "other": Voicemail,
        "faq": Hangup,
        "boss": Voicemail,
    }
    said = [
        (turn.end_ms - turn.start_ms, call.call_sid, number)
        for call in Corpus().calls
        for number, turn in enumerate(call.turns, 1)
        if turn.end_ms - turn.start_ms > 800 and MATCHER.match(turn.text) is None
    ]
    chosen = sorted(said)[: len(wanted)]
    return [
        Person(sid, number, intent, arrives)
        for (_, sid, number), (intent, arrives) in zip(chosen, wanted.items(), strict=True)
    ]


async def test_nine_recorded_callers_arrive_at_nine_routes(start: Start) -> None:
    everybody = people()
    known = [
        KnownCall(one.recording, model(routes_to(one.intent), said=[one.words]), (one.words,))
        for one in everybody
    ]
    system = await start(model("moment"), file=PATIENT, known_calls=known)
    calls = await placed(system, everybody)
    for person, call in zip(everybody, calls, strict=True):
        assert isinstance(call.outcome, person.arrives), (person.intent, call.outcomes)
        decision = await system.decision(call)
        assert (decision.intent, decision.reason) == (person.intent, "route_requested")
        assert decision.envelope["call"]["from_number"] == person.from_number
        assert [turn["text"] for turn in decision.envelope["call"]["turns"]] == [person.words]
        assert not call.errors
    delivered = [entry.kind for call in calls for entry in await settled(system, call)]
    assert sorted(delivered) == ["callback_task", "email", "sms", "studio_execution"]
    assert sorted(task.by_rest for task in system.twilio.tasks) == [False, True]


async def settled(system: System, call: CallResult) -> list[Any]:
    expected = {"quote": 1, "later": 1, "boss": 2}
    intent = (await system.decision(call)).intent
    return await system.delivered(call, expected.get(intent or "", 0))


async def placed(system: System, everybody: list[Person]) -> list[CallResult]:
    async with asyncio.TaskGroup() as tasks:
        ringing = [
            tasks.create_task(
                system.call(
                    WaitForStream(),
                    Speak(person.clip),
                    StayOnLine(25_000),
                    from_number=person.from_number,
                    agent=Agent(after_ms=20),
                    callees={"+14155550111": Callee(rings_ms=20, keys=((20, "1"),))},
                )
            )
            for person in everybody
        ]
    return [call.result() for call in ringing]
