"""``<Enqueue>``: the call waits for an agent, as a TaskRouter task or in a plain queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from loadtest.twilio.leg import Finish, Goto, HungUp, Interrupted, Leg, Next, method_of
from loadtest.twilio.notices import Code
from loadtest.twilio.outcomes import FellOffTheEnd, FlexTask, Hangup, Queued
from loadtest.twilio.sids import WORKFLOW_SID
from loadtest.twilio.taskrouter import (
    DEFAULT_TIMEOUT_S,
    BadAttributesError,
    Task,
    parse_attributes,
)
from loadtest.twilio.twiml import Element
from loadtest.twilio.verbs import BasicVerbs

if TYPE_CHECKING:
    from loadtest.twilio.call import CallLeg

_REPEAT_S = 1.0


async def enqueue(call: CallLeg, verb: Element) -> Next:
    """Wait for the scripted agent; the action hears how the waiting ended."""
    try:
        place = _Place(call, verb)
    except BadAttributesError as error:
        call.journal.error(Code.INVALID_TASK_ATTRIBUTES, str(error))
        return call.action(verb, "enqueue action", QueueResult="error", QueueTime="0")
    try:
        result = await place.wait()
    except Interrupted as interrupted:
        gone = isinstance(interrupted.interruption, HungUp)
        place.close("hangup" if gone else "redirected")
        if gone:
            await call.tell(call.action(verb, "enqueue action", **place.params("hangup")))
        raise
    place.close(result)
    return call.action(verb, "enqueue action", **place.params(result))


class _Place:
    """One call's place in a queue."""

    def __init__(self, call: CallLeg, verb: Element) -> None:
        self._call = call
        self._verb = verb
        self._began = time.monotonic()
        self._queue_sid = call.sids.new("QU")
        self._own: Mapping[str, object] = {}
        self._task = self._make_task() if "workflowSid" in verb.attributes else None

    def _make_task(self) -> Task:
        call, verb = self._call, self._verb
        workflow_sid = verb.get("workflowSid")
        if not WORKFLOW_SID.fullmatch(workflow_sid):
            message = f"workflowSid is {workflow_sid!r}, expected WW and 32 hexadecimal digits"
            call.journal.error(Code.INVALID_WORKFLOW_SID, message)
            raise BadAttributesError("no task without a workflow")
        noun = next(verb.nouns("Task"), None)
        if noun is not None:
            self._own = parse_attributes(noun.text)
        automatic = call.task_attributes()
        for key in sorted(self._own.keys() & automatic.keys()):
            message = f"attribute {key} is one that Enqueue adds itself"
            call.journal.warning(Code.INVALID_TASK_ATTRIBUTES, message)
        return call.taskrouter.create(
            workflow_sid,
            {**self._own, **automatic},
            priority=noun.number("priority", 0) if noun is not None else 0,
            timeout_s=noun.number("timeout", DEFAULT_TIMEOUT_S)
            if noun is not None
            else DEFAULT_TIMEOUT_S,
        )

    async def wait(self) -> str:
        """The QueueResult. Raises Interrupted when the caller leaves or is moved."""
        agent = self._call.script.agent
        if agent.refusal is not None:
            return agent.refusal
        left = await self._until_answer(agent.after_ms)
        if left is not None:
            return left
        self._call.journal.event("verb", verb="agent answered")
        if self._task is not None:
            self._task.status = "assigned"
        await self._call.pass_time(agent.talks_ms / 1000)
        return "bridged"

    async def _until_answer(self, after_ms: int | None) -> str | None:
        """None when the agent answers; else how the wait document ended the waiting."""
        after_s = None if after_ms is None else after_ms / 1000
        try:
            return await self._call.until(self._play_wait_documents(), after_s)
        except TimeoutError:
            return None

    async def _play_wait_documents(self) -> str:
        """Runs the wait URL again and again; returns when it says Leave or Hangup."""
        call = self._call
        url = self._verb.get("waitUrl")
        while url:
            leg = Leg(call.journal, call.webhooks, call.settings, {**call.params, **self.params()})
            leg.verbs = {**BasicVerbs(leg).table(), "Leave": _leave}
            leg.digits = call.digits
            method = method_of(self._verb, "waitUrlMethod")
            outcome = await leg.run(Goto(call.absolute(url), method, purpose="wait"))
            if isinstance(outcome, Queued):
                return outcome.queue_result
            if isinstance(outcome, Hangup):
                return "hangup"
            if not isinstance(outcome, FellOffTheEnd):
                break
            await asyncio.sleep(_REPEAT_S)
        forever: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await forever  # the waiting itself is bounded: an agent, or the end of the call

    def params(self, result: str = "") -> dict[str, str]:
        waited_s = str(round(time.monotonic() - self._began))
        params = {"QueueSid": self._queue_sid, "QueueTime": waited_s}
        if result:
            return {**params, "QueueResult": result}
        return {**params, "QueuePosition": "1", "AvgQueueTime": "0", "CurrentQueueSize": "1"}

    def close(self, result: str) -> None:
        """Out of the queue: the outcome is known."""
        task = self._task
        if task is None:
            self._call.arrive(Queued(self._verb.text, result))
            return
        if result != "bridged":
            task.status, task.reason = "canceled", result
        self._call.arrive(
            FlexTask(
                task.sid,
                task.workflow_sid,
                self._own,
                task.attributes,
                task.priority,
                task.timeout_s,
                result,
            )
        )


async def _leave(verb: Element) -> Next:
    return Finish(Queued("", "leave"))


def _timeout_s(noun: Element | None) -> int:
    return DEFAULT_TIMEOUT_S if noun is None else noun.number("timeout", DEFAULT_TIMEOUT_S)
