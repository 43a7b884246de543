"""A file held against a simulated account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dispatch.online import ask_twilio
from dispatch.policy import TenantPolicy
from tests.dispatch.wires import WORKSPACE, free_port, rest_of, twilio

FLEX, CALLBACKS = "WW" + "0" * 31 + "1", "WW" + "0" * 31 + "2"
PAGED = "WW" + "0" * 31 + "3"
FLOW = "FW" + "7" * 32
NOT_TAKEN = (
    "no filter of the workflow matches a Task of intent 'billing', and it has no default: "
    "it is cancelled"
)
TAKES_ALL = {"task_routing": {"filters": [{"expression": "1 == 1", "targets": []}]}}


def routing(*expressions: str, default: bool = False) -> dict[str, object]:
    filters = [
        {"filter_friendly_name": f"filter {number}", "expression": text, "targets": []}
        for number, text in enumerate(expressions, 1)
    ]
    routed: dict[str, object] = {"filters": filters}
    return {"task_routing": routed | ({"default_filter": {"queue": "WQ1"}} if default else {})}


async def told(policy: TenantPolicy, **account: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401
    usual: dict[str, Mapping[str, object]] = {FLEX: TAKES_ALL, CALLBACKS: TAKES_ALL}
    settings: dict[str, Any] = {"workflows": usual, **account}
    async with twilio(**settings) as simulated, rest_of(simulated.rest_url) as rest:
        return [
            (one.severity, ".".join(map(str, one.fault[0])), one.fault[1])
            async for one in ask_twilio(policy, rest)
        ]


def with_routes(policy: TenantPolicy, **routes: object) -> TenantPolicy:
    file: dict[str, Any] = policy.model_dump(by_alias=True, exclude_defaults=True)
    return TenantPolicy.model_validate(file | {"routes": file["routes"] | routes})


async def test_a_file_that_fits_its_account_is_not_complained_of(policy: TenantPolicy) -> None:
    assert await told(policy) == []


async def test_workflows_that_are_not_there_are_errors(policy: TenantPolicy) -> None:
    text = "is not a workflow of this workspace"
    assert await told(policy, workflows={FLEX: TAKES_ALL}) == [
        ("error", "routes.call_back.workflow_sid", text)
    ]


async def test_a_workspace_and_a_channel_that_are_not_there_are_errors(
    policy: TenantPolicy,
) -> None:
    task = {"kind": "callback_task", "workflow_sid": CALLBACKS}
    changed = with_routes(
        policy,
        elsewhere={**task, "workspace_sid": "WS" + "9" * 32},
        by_fax={**task, "workspace_sid": WORKSPACE, "task_channel": "fax"},
    )
    assert await told(changed) == [
        ("error", "routes.elsewhere.workspace_sid", "is not a workspace of this account"),
        (
            "error",
            "routes.by_fax.task_channel",
            "is 'fax', expected one of the workspace's: default, voice",
        ),
    ]


async def test_a_workflow_without_its_workspace_cannot_be_looked_at(policy: TenantPolicy) -> None:
    changed = with_routes(policy, plain={"kind": "flex", "workflow_sid": FLEX})
    assert await told(changed) == [
        (
            "warning",
            "routes.plain.workspace_sid",
            "is not given, so that the workflow could not be looked at",
        )
    ]


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (None, [("error", "is not a flow of this account")]),
        ("draft", [("warning", "is a flow that is not published (draft)")]),
        ("published", []),
    ],
)
async def test_flows_are_looked_up(
    policy: TenantPolicy, status: str | None, found: list[tuple[str, str]]
) -> None:
    changed = with_routes(policy, menu={"kind": "studio_trigger", "flow_sid": FLOW})
    flows = {} if status is None else {FLOW: status}
    expected = [(severity, "routes.menu.flow_sid", text) for severity, text in found]
    assert await told(changed, flows=flows) == expected


async def test_intents_that_no_filter_takes_are_named(policy: TenantPolicy) -> None:
    by_queue = routing('queue == "emergency"', 'queue == "front_desk"')
    assert await told(policy, workflows={FLEX: by_queue, CALLBACKS: TAKES_ALL}) == [
        (
            "error",
            "routes.billing_desk.workflow_sid",
            NOT_TAKEN,
        )
    ]


async def test_a_route_that_only_a_page_leads_to_is_looked_at_too(policy: TenantPolicy) -> None:
    """Nothing else of the file leads there, and no filter would take its Task."""
    page = policy.model_dump(by_alias=True, exclude_defaults=True)["routes"]["page_owner"]
    behind = {"kind": "flex", "workflow_sid": PAGED, "workspace_sid": WORKSPACE}
    changed = with_routes(policy, behind=behind, page_owner={**page, "then": "behind"})
    workflows = {FLEX: TAKES_ALL, CALLBACKS: TAKES_ALL, PAGED: routing('intent == "gone"')}
    found = await told(changed, workflows=workflows)
    expected = NOT_TAKEN.replace("billing", "emergency")
    assert found == [("error", "routes.behind.workflow_sid", expected)]


async def test_a_default_filter_makes_it_a_warning(policy: TenantPolicy) -> None:
    by_intent = routing('intent IN ["emergency", "billing"]', default=True)
    found = await told(policy, workflows={FLEX: by_intent, CALLBACKS: TAKES_ALL})
    assert {severity for severity, _, _ in found} == {"warning"}
    assert {where for _, where, _ in found} == {"routes.front_desk.workflow_sid"}
    assert found[0][2] == (
        "no filter of the workflow matches a Task of intent 'schedule'; its default filter takes it"
    )


async def test_filters_that_ask_for_what_we_never_send_are_named(policy: TenantPolicy) -> None:
    odd = routing("1 == 1", 'inten == "billing"', 'intent HAS "billing"', "intent ==")
    found = await told(policy, workflows={FLEX: TAKES_ALL, CALLBACKS: odd})
    assert [text for _, _, text in found] == [
        "the workflow's filter 'filter 2' asks for 'inten', which we never send",
        "the workflow's filter 'filter 4' ends too early",
    ]


async def test_a_list_that_is_none_is_named(policy: TenantPolicy) -> None:
    odd = routing("1 == 1", 'business HAS "ACME"')
    found = await told(policy, workflows={FLEX: TAKES_ALL, CALLBACKS: odd})
    assert [text for _, _, text in found] == [
        "the workflow's filter 'filter 2' asks HAS of 'business', which is no list"
    ]


async def test_what_earlier_menus_chose_may_be_asked_for(policy: TenantPolicy) -> None:
    chosen = routing('flex_skill == "en"', "1 == 1")
    assert await told(policy, workflows={FLEX: chosen, CALLBACKS: chosen}) == []


async def test_a_twilio_that_does_not_answer_is_a_warning_for_each_route(
    policy: TenantPolicy,
) -> None:
    async with rest_of(f"http://127.0.0.1:{free_port()}") as rest:
        found = [one async for one in ask_twilio(policy, rest)]
    assert {one.severity for one in found} == {"warning"}
    assert [".".join(map(str, one.fault[0])) for one in found] == [
        "routes.on_call",
        "routes.billing_desk",
        "routes.front_desk",
        "routes.call_back",
    ]
    assert found[0].fault[1] == "could not be checked: fetch_workflow did not reach Twilio"
