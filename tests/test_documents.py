"""What the documents name exists, and what a flow or an agent gets is in the documents."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from dispatch.attributes import handoff_data, pack, return_parameters
from dispatch.context import CallContext, Turn
from dispatch.decision import Decision, decide
from dispatch.envelope import Envelope, seal
from dispatch.filters import judge
from dispatch.outcome import RouteRequested
from dispatch.slots import SlotValue
from dispatch.triagefile import load

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
STUDIO_AND_FLEX = (ROOT / "docs" / "studio-and-flex.md").read_text(encoding="utf-8")
POLICY = load(ROOT / "examples" / "acme-plumbing.toml").policy


def sealed(intent: str) -> tuple[Decision, Envelope]:
    """A call of which everything is known."""
    now = dt.datetime(2026, 11, 21, 9, tzinfo=dt.UTC)
    context = CallContext(
        call_sid="CA" + "1" * 32,
        account_sid="AC" + "2" * 32,
        tenant=POLICY.tenant,
        from_number="+14155550177",
        to_number="+14155550100",
        entry="studio",
        started_at=now,
        studio_flow="FW00000000000000000000000000000001",
        turns=(Turn("caller", "It leaks."),) * 40,
        parameters={"ivr_menu": "1"},
    )
    slots: dict[str, SlotValue] = {
        "name": "Ann",
        "callback": "+14155550177",
        "time_of_day": "morning",
        "amount": 3,
    }
    outcome = RouteRequested(
        intent, "It leaks.", 0.9, "negative", "en-US", "high", slots, missing=("preferred_date",)
    )
    decision = decide(outcome, context, POLICY)
    envelope = seal(
        decision, outcome, context, POLICY, reference="TR-20261121-0042", decided_at=now
    )
    url = "https://voice.example.com/context/CA1?expires=1&sig=x"
    return decision, replace(envelope, context_url=url)


def section(begin: str, end: str) -> set[str]:
    """All names set as code in the first column of the tables between two headings."""
    text = STUDIO_AND_FLEX.partition(begin)[2].partition(end)[0]
    first_cells = re.findall(r"^ *\|([^|]+)\|", text, re.MULTILINE)
    return {name for cell in first_cells for name in re.findall(r"`([A-Za-z_]+)`", cell)}


OF_THE_FILE = {"time_of_day", "amount", "skills", "ivr_menu"}
"""Slots of the example, what its route adds, and what came in with the call."""


def test_every_parameter_that_a_flow_gets_back_is_documented() -> None:
    sent = return_parameters(*sealed("schedule")).keys() - OF_THE_FILE - {"queue"}
    assert section("## Studio:", "### The whole record") == sent


def test_every_attribute_of_a_task_is_documented() -> None:
    whole, cut = (json.loads(pack(*sealed("billing"), limit=limit)) for limit in (4096, 1000))
    sent = whole.keys() | cut.keys()
    assert section("## Flex:", "### The workflow") == sent - OF_THE_FILE


def test_the_documented_hand_off_payload_is_the_one_that_is_sent() -> None:
    text = STUDIO_AND_FLEX.partition("Agent Handoff")[2].partition("answers with exactly")[0]
    for key in handoff_data(*sealed("billing")):
        assert f"`{key}`" in text


@pytest.mark.parametrize(
    ("intent", "queue"), [("emergency", "Emergencies"), ("billing", "Billing"), ("human", None)]
)
def test_the_documented_filters_send_our_tasks_where_they_say(
    intent: str, queue: str | None
) -> None:
    rows = re.findall(r"^ *\| ([A-Z]\w+) \| `([^`]+)` \|", STUDIO_AND_FLEX, re.MULTILINE)
    assert [name for name, _ in rows] == ["Emergencies", "Spanish", "Billing"]
    attributes = json.loads(pack(*sealed(intent)))
    matching = [name for name, expression in rows if judge(expression, attributes).matches]
    assert matching[:1] == ([queue] if queue else [])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_the_documents_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []
