"""Faults between the parts of a triage file: names that lead nowhere, or are used twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from dispatch.intents import Destination
from dispatch.routes import ENTERS_AUTOMATION, PageRoute, Route

FieldPath: TypeAlias = tuple[str | int, ...]
Fault: TypeAlias = tuple[FieldPath, str]
"""Where in the file, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What of one file can be held against each other, even where other parts have faults.

    ``routes`` maps a name to None where the route has faults of its own, so that those are not
    reported a second time as missing routes. Names of intents and tools go by their index.
    """

    routes: Mapping[str, Route | None]
    destinations: Mapping[FieldPath, Destination]
    intents: Mapping[int, str]
    tools: Mapping[int, str]
    then: Mapping[str, str] = field(default_factory=dict)
    """Where page routes lead on to, by their names."""
    guard_page: str | None = None
    called: tuple[str, ...] = ()


def contradictions(parts: Parts) -> Iterator[Fault]:
    """Every fault between the parts."""
    yield from _repeated("intent", parts.intents)
    yield from _repeated("tool", parts.tools)
    for path, destination in parts.destinations.items():
        yield from _missing_routes(parts, path, destination)
    for name, then in parts.then.items():
        yield from _bad_then(parts, name, then)
    yield from _human_is_final(parts)
    yield from _guard_page(parts)


def _repeated(key: str, names: Mapping[int, str]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, name in names.items():
        if name in seen:
            yield (key, index, "name"), f"{name!r} is defined twice"
        seen.add(name)


def _missing_routes(parts: Parts, path: FieldPath, destination: Destination) -> Iterator[Fault]:
    if destination.route not in parts.routes:
        yield (*path, "route"), _no_such(parts, destination.route)
    tried = {destination.route}
    for index, name in enumerate(destination.on_failure):
        if name not in parts.routes:
            yield (*path, "on_failure", index), _no_such(parts, name)
        elif name in tried:
            yield (*path, "on_failure", index), f"{name!r} has been tried before"
        tried.add(name)


def _no_such(parts: Parts, name: str) -> str:
    return f"there is no route {name!r}; there are: {', '.join(parts.routes)}"


def _bad_then(parts: Parts, name: str, then: str) -> Iterator[Fault]:
    path = ("routes", name, "then")
    if then not in parts.routes:
        yield path, _no_such(parts, then)
        return
    following = parts.routes[then]
    if following is not None and following.kind == "page":
        yield path, "must lead on to a route that is not itself a page"


def _human_is_final(parts: Parts) -> Iterator[Fault]:
    human = parts.destinations.get(("human",))
    route = parts.routes.get(human.route) if human else None
    if route is not None and route.kind in (*ENTERS_AUTOMATION, "resolve"):
        text = f"a {route.kind} route does not lead to a person, where calls that went round end"
        yield ("human", "route"), text


def _guard_page(parts: Parts) -> Iterator[Fault]:
    name, path = parts.guard_page, ("guard", "page")
    if name is None:
        return
    if name not in parts.routes:
        yield path, _no_such(parts, name)
        return
    route = parts.routes[name]
    if route is None:
        return
    if not isinstance(route, PageRoute):
        yield path, f"{name!r} is a {route.kind} route, expected a page route"
    elif route.sms and route.from_number is None and "*" in parts.called:
        yield path, f"{name!r} needs a from_number: no call tells which number its SMS come from"
