"""The operator's own HTTP look-ups: what the model may ask, and where. Makes no request."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

import jsonschema
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from dispatch.routes import Strict

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
OWN_TOOLS = frozenset({"route_call", "escalate", "end_call"})


def _object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object":
        raise ValueError('must be a JSON schema with type = "object"')
    if _has_reference(schema):
        raise ValueError("must not use $ref: the schema is sent to the model as it is")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as fault:
        raise ValueError(f"is not a JSON schema: {fault.message}") from None
    return schema


def _has_reference(value: object) -> bool:
    match value:
        case dict():
            return "$ref" in value or any(_has_reference(inner) for inner in value.values())
        case list():
            return any(_has_reference(inner) for inner in value)
        case _:
            return False


def _address(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.username or "{" in parts.netloc:
        raise ValueError("must have a fixed host, without credentials or placeholders in it")
    if parts.scheme != "https" and not _is_loopback(parts.hostname):
        raise ValueError("must be https (http only for a loopback address)")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class LookupTool(Strict):
    """One HTTP look-up. ``{name}`` in the URL is filled, escaped, from the arguments.

    The request goes to the URL's own host and nowhere else: redirects to others are not followed.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
    description: str = Field(min_length=1, max_length=1000)
    method: Literal["GET", "POST"] = "GET"
    url: Annotated[
        str,
        StringConstraints(pattern=r"^https?://[^\s<>\"]+$", max_length=2000),
        AfterValidator(_address),
    ]
    parameters: Annotated[dict[str, Any], AfterValidator(_object_schema)] = Field(
        default={"type": "object", "properties": {}}, description="JSON schema of the arguments."
    )
    timeout_ms: int = Field(default=2000, ge=100, le=10_000)
    secret_env: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = Field(
        default=None,
        description="Environment variable that holds the secret; never the secret itself.",
    )
    secret_header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")] = Field(
        default="Authorization", description="Header that carries the secret."
    )
    max_result_chars: int = Field(default=2000, ge=100, le=8000)

    @model_validator(mode="after")
    def _placeholders_are_parameters(self) -> LookupTool:
        if self.name in OWN_TOOLS:
            raise ValueError(f"{self.name!r} is the name of a tool that is always there")
        unknown = sorted(self.placeholders - self.parameters.get("properties", {}).keys())
        if unknown:
            raise ValueError(f"'url' uses {{{unknown[0]}}}, which 'parameters' does not define")
        optional = sorted(self.placeholders - set(self.parameters.get("required", ())))
        if optional:
            raise ValueError(f"'url' uses {{{optional[0]}}}, which 'parameters' does not require")
        return self

    @property
    def host(self) -> str:
        """The only host this look-up may talk to."""
        return urlsplit(self.url).hostname or ""

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(_PLACEHOLDER.findall(self.url))

    def address(self, arguments: Mapping[str, Any]) -> str:
        """The URL for checked arguments; each value is escaped whole, slashes and dots included."""

        def filled(match: re.Match[str]) -> str:
            value = arguments[match.group(1)]
            text = str(value).lower() if isinstance(value, bool) else str(value)
            return quote(text, safe="").replace(".", "%2E")

        return _PLACEHOLDER.sub(filled, self.url)

    def remaining(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that are not in the URL: query of a GET, JSON body of a POST."""
        return {key: value for key, value in arguments.items() if key not in self.placeholders}
