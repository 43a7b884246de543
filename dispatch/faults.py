"""What pydantic found, in words for whoever wrote the file."""

from __future__ import annotations

import copy
import difflib
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dispatch.crosscheck import Fault, FieldPath
from dispatch.policy import TriageFile
from dispatch.text import cut

_EXPECTED = {
    r"^AC[0-9a-fA-F]{32}$": "an account SID: AC and 32 hexadecimal digits",
    r"^FW[0-9a-fA-F]{32}$": "a Studio flow SID: FW and 32 hexadecimal digits",
    r"^WW[0-9a-fA-F]{32}$": "a workflow SID: WW and 32 hexadecimal digits",
    r"^WS[0-9a-fA-F]{32}$": "a workspace SID: WS and 32 hexadecimal digits",
    r"^\+[1-9][0-9]{6,14}$": "a number in E.164 form such as +14155550100",
    r"^(\*|\+[1-9][0-9]{6,14})$": "a number in E.164 form such as +14155550100, or '*'",
    r"^[a-z][a-z0-9_-]*$": "a name of lower-case letters, digits and _",
    r"^[a-z][a-z0-9_]*$": "a name of lower-case letters, digits and _",
    r"^[A-Za-z][A-Za-z0-9_-]*$": "a name of letters, digits and _",
    r"^[0-9*#]$": "one key: 0 to 9, * or #",
    r"^[0-9]?$": "one digit, or nothing",
    r"^[A-Z]{2}$": "a country such as US",
    r"^[a-z]{2}$": "a language such as en (ISO 639-1)",
    r"^[A-Z][A-Z0-9_]*$": "the name of an environment variable such as CRM_TOKEN",
    r"^[A-Za-z0-9-]+$": "the name of a header",
}
_NOUNS = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_MAX_SHOWN = 60
_MAX_ROUNDS = 6


def every_fault(raw: Mapping[str, Any]) -> Iterator[Fault]:
    """Every fault of the file's tables, each place once.

    A table with a bad key is not held against its own rules by pydantic. So the bad keys are taken
    out and the rest is read again, until nothing new is found. What is then said of keys that are
    only missing because they were taken out is no fault of the file.
    """
    left = copy.deepcopy(dict(raw))
    known: set[FieldPath] = set()
    gone: set[FieldPath] = set()
    for _ in range(_MAX_ROUNDS):
        try:
            TriageFile.model_validate(left)
        except ValidationError as error:
            found = [(path, text) for path, text in _in_words(error, left) if path not in known]
        else:
            return
        if not found:
            return
        yield from (fault for fault in found if not _speaks_of(fault, gone))
        known.update(path for path, _ in found)
        gone.update([_taken_out(left, path) for path, _ in found])


def _speaks_of(fault: Fault, gone: Collection[FieldPath]) -> bool:
    """Whether the fault is about a key that was taken out, or names one of the same table."""
    path, text = fault
    return path in gone or any(
        where[:-1] == path and f"'{where[-1]}'" in text for where in gone if where
    )


def _taken_out(raw: object, path: FieldPath) -> FieldPath:
    """Remove what stands at ``path``, and tell what was removed.

    Of a list all goes where an entry is a plain value: its bad entries are all known by then.
    Tables in a list stay, or all that follow would change their place.
    """
    tables = [raw]
    for step in path[:-1]:
        tables.append(child(tables[-1], step))
    entry = child(tables[-1], path[-1]) if path else MISSING
    if isinstance(tables[-1], list) and not isinstance(entry, dict | list):
        path, tables = path[:-1], tables[:-1]
    holder = tables[-1]
    if path and isinstance(holder, dict):
        holder.pop(path[-1], None)
    return path


def _in_words(error: ValidationError, raw: Mapping[str, Any]) -> Iterator[Fault]:
    """One fault for each place, however many ways of reading it were tried."""
    by_path: dict[FieldPath, list[ErrorDetails]] = defaultdict(list)
    for details in error.errors(include_url=False):
        by_path[_path(details, raw)].append(details)
    for path, found in by_path.items():
        # Of "a text or a table" the table was meant where something within it is wrong, and a list
        # is not empty for holding nothing but bad entries.
        inside = any(other[: len(path)] == path and other != path for other in by_path)
        if not (inside and found[0]["type"] in (*_NOUNS, "too_short")):
            yield path, _message(path, found, raw)


def child(raw: object, step: str | int) -> object:
    """What stands at ``step`` in a table or list of the file; MISSING where nothing does."""
    if isinstance(raw, Mapping):
        return raw.get(step, MISSING)
    if isinstance(raw, list) and isinstance(step, int) and step < len(raw):
        return raw[step]
    return MISSING


MISSING = object()


def _path(details: ErrorDetails, raw: object) -> FieldPath:
    """The place in the file: pydantic's own markers (union members, tags) taken out."""
    path: FieldPath = ()
    for step in details["loc"]:
        found = child(raw, step)
        if found is not MISSING:
            raw, path = found, (*path, step)
    return (*path, details["loc"][-1]) if details["type"] == "missing" else path


def _message(path: FieldPath, found: list[ErrorDetails], raw: Mapping[str, Any]) -> str:
    details = found[0]
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return f"is not a known key{_suggestion(str(path[-1]), _siblings(path, raw))}"
        case "missing":
            return "is required"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch" if context["pattern"] in _EXPECTED:
            return f"is {_shown(details)}, expected {_EXPECTED[context['pattern']]}"
        case "union_tag_invalid":
            tag, known = context["tag"], re.findall(r"'([^']*)'", context["expected_tags"])
            return f"kind is {tag!r}, expected one of {', '.join(known)}{_suggestion(tag, known)}"
        case "too_short":
            return "is empty"
        case "union_tag_not_found":
            return "kind is missing"
        case kind if kind in _NOUNS:
            nouns = dict.fromkeys(_NOUNS[one["type"]] for one in found if one["type"] in _NOUNS)
            return f"is {_shown(details)}, expected {' or '.join(nouns)}"
        case _:
            return f"is {_shown(details)}: {_lower(details['msg'])}"


def _shown(details: ErrorDetails) -> str:
    return cut(repr(details["input"]), _MAX_SHOWN)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _suggestion(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


# --- the keys that would have been known ----------------------------------------------------

_SCHEMA = TriageFile.model_json_schema()


def _siblings(path: FieldPath, raw: object) -> list[str]:
    """The keys that the schema knows in the table that holds the last step of ``path``."""
    node: dict[str, Any] = _SCHEMA
    for step in path[:-1]:
        node = _below(_resolved(node, raw), step)
        raw = child(raw, step)
    return list(_resolved(node, raw).get("properties", ()))


def _below(node: dict[str, Any], step: str | int) -> dict[str, Any]:
    if isinstance(step, int):
        return dict(node.get("items", {}))
    if step in node.get("properties", {}):
        return dict(node["properties"][step])
    more = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return next((dict(one) for one in more if isinstance(one, dict)), {})


def _resolved(node: dict[str, Any], raw: object) -> dict[str, Any]:
    """``node`` with its reference followed, and of several kinds the one that ``raw`` names."""
    mapping = node.get("discriminator", {}).get("mapping", {})
    kind = raw.get("kind") if isinstance(raw, Mapping) else None
    reference = mapping.get(kind) or node.get("$ref")
    if not isinstance(reference, str):
        return node
    return dict(_SCHEMA["$defs"][reference.rsplit("/", 1)[-1]])
