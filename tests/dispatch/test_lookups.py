"""The operator's look-ups: one host each, values that cannot leave their place."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dispatch.lookups import LookupTool

GOOD: dict[str, Any] = {
    "name": "find_appointment",
    "description": "The next appointment.",
    "url": "https://crm.example:8443/v1/customers/{phone}/next?kind={kind}",
    "parameters": {
        "type": "object",
        "required": ["phone", "kind"],
        "properties": {
            "phone": {"type": "string"},
            "kind": {"type": "string"},
            "limit": {"type": "integer"},
        },
    },
}


def tool(**changed: object) -> LookupTool:
    return LookupTool.model_validate(GOOD | changed)


def test_arguments_fill_the_address_and_the_rest_remains() -> None:
    arguments = {"phone": "+1415", "kind": "a b", "limit": 3}
    assert tool().address(arguments) == (
        "https://crm.example:8443/v1/customers/%2B1415/next?kind=a%20b"
    )
    assert tool().remaining(arguments) == {"limit": 3}
    assert tool().host == "crm.example"


VALUES = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["../../admin", "..", "@evil.example/", "x?admin=1#", "https://evil.example", "%2e%2e/", "\\"]
)


@given(phone=VALUES, kind=VALUES)
def test_no_argument_leaves_its_place_in_the_address(phone: str, kind: str) -> None:
    parts = urlsplit(tool().address({"phone": phone, "kind": kind}))
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "crm.example:8443", "")
    path = parts.path.split("/")
    assert (path[:3], path[4:], len(path)) == (["", "v1", "customers"], ["next"], 5)
    assert "." not in path[3]
    assert parts.query.count("=") == 1
    assert "&" not in parts.query


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"url": "http://crm.example/"}, "must be https"),
        ({"url": "https://{phone}.example/"}, "must have a fixed host"),
        ({"url": "https://user:secret@crm.example/"}, "must have a fixed host"),
        ({"url": "https://crm.example/{nobody}"}, r"uses \{nobody\}, which 'parameters' does not"),
        ({"url": "https://crm.example/{limit}"}, r"uses \{limit\}, which 'parameters' does not"),
        ({"url": "ftp://crm.example/"}, "String should match pattern"),
        ({"name": "route_call"}, "is the name of a tool that is always there"),
        ({"parameters": {"type": "array"}}, 'must be a JSON schema with type = "object"'),
        (
            {"parameters": {"type": "object", "properties": {"a": {"$ref": "http://evil"}}}},
            r"must not use \$ref",
        ),
        ({"parameters": {"type": "object", "required": 5}}, "is not a JSON schema"),
        ({"secret_env": "sk-secret value"}, "String should match pattern"),
        ({"timeout_ms": 60_000}, "less than or equal to 10000"),
        ({"redirects": True}, "Extra inputs are not permitted"),
    ],
)
def test_a_look_up_that_could_go_astray_is_refused(
    changed: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        tool(**changed)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]/x"])
def test_a_loopback_address_needs_no_tls(url: str) -> None:
    assert tool(url=url).url == url
