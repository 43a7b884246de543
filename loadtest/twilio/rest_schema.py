"""Twilio's REST requests as its OpenAPI description has them: what may come in, what may go out.

The excerpt lies beside this module; unknown fields are refused, which Twilio itself is lax about.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from loadtest.twilio import twiml

Schema: TypeAlias = Mapping[str, Any]
Form: TypeAlias = Mapping[str, Sequence[str]]

_PHONE = re.compile(r"(whatsapp:|messenger:|client:)?\+?[\w.@-]+")
_FILE = "rest_schema.json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for."""

    name: str
    method: str
    path: str
    path_params: Mapping[str, Schema]
    query: Mapping[str, Schema]
    fields: Mapping[str, Schema]
    required: Sequence[str]
    status: int
    answer: str
    list_key: str = ""

    def faults(self, path: Mapping[str, str], query: Form, form: Form) -> list[str]:
        """What is wrong with a request, field by field; empty when nothing is."""
        faults = [f"{name} is missing" for name in self.required if name not in form]
        for name, value in path.items():
            faults.extend(_value_faults(name, value, self.path_params[name]))
        faults.extend(_form_faults(query, self.query, "query parameter"))
        faults.extend(_form_faults(form, self.fields, "field"))
        return faults


def _form_faults(form: Form, schemas: Mapping[str, Schema], what: str) -> Iterator[str]:
    for name, values in form.items():
        schema = schemas.get(name)
        if schema is None:
            yield f"{name} is not a known {what}"
        elif schema.get("type") == "array":
            for value in values:
                yield from _value_faults(name, value, schema.get("items", {}))
        elif len(values) != 1:
            yield f"{name} is there {len(values)} times, expected once"
        else:
            yield from _value_faults(name, values[0], schema)


def _value_faults(name: str, value: str, schema: Schema) -> Iterator[str]:
    """Form values are text; the type says what the text has to be."""
    if "enum" in schema and value not in schema["enum"]:
        yield f"{name} is {value!r}, expected one of {', '.join(schema['enum'])}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{name} does not match {schema['pattern']}"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{name} is {len(value)} characters long, expected {schema.get('maxLength')}"
    match schema.get("type"):
        case "integer":
            yield from _integer_faults(name, value, schema)
        case "number":
            if not re.fullmatch(r"-?\d+(\.\d+)?", value):
                yield f"{name} is {value!r}, expected a number"
        case "boolean":
            if value.lower() not in ("true", "false"):
                yield f"{name} is {value!r}, expected true or false"
        case _:
            yield from _format_faults(name, value, schema.get("format"))


def _integer_faults(name: str, value: str, schema: Schema) -> Iterator[str]:
    if not re.fullmatch(r"-?\d+", value):
        yield f"{name} is {value!r}, expected an integer"
        return
    number = int(value)
    low, high = schema.get("minimum", number), schema.get("maximum", number)
    if not low <= number <= high:
        yield f"{name} is {number}, expected {low} to {high}"


def _format_faults(name: str, value: str, form: str | None) -> Iterator[str]:
    match form:
        case "uri":
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                yield f"{name} is not an absolute http or https URL"
        case "phone-number":
            if not _PHONE.fullmatch(value):
                yield f"{name} is not a phone number or address"
        case "date-time":
            if not _is_date_time(value):
                yield f"{name} is {value!r}, expected an ISO 8601 date and time"
        case "twiml":
            try:
                twiml.parse(value.encode())
            except twiml.BadDocument as error:
                yield f"{name} is not TwiML: {error}"
        case _:
            pass


def _is_date_time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


@functools.cache
def operations() -> Mapping[str, Operation]:
    """By operation name, as Twilio's description calls them."""
    return {name: Operation(name, **data) for name, data in _load()["operations"].items()}


@functools.cache
def answer_fields(answer: str) -> Mapping[str, Schema]:
    """The fields of a resource, by Twilio's schema name."""
    fields: Mapping[str, Schema] = _load()["answers"][answer]
    return fields


@functools.cache
def _load() -> dict[str, Any]:
    text = resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data
