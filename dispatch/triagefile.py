"""Reading and checking the operator's files: every fault at once, with line and field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from dispatch.advice import advice
from dispatch.crosscheck import Fault, FieldPath, Parts, contradictions
from dispatch.faults import child, every_fault
from dispatch.intents import Destination
from dispatch.policy import ANY_NUMBER, TenantPolicy, TriageFile
from dispatch.positions import Positions
from dispatch.routes import Route

MAX_FILE_BYTES = 1_000_000

_Model = TypeVar("_Model")
_ROUTE: TypeAdapter[Route] = TypeAdapter(Route)
_DESTINATION = TypeAdapter(Destination)

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a file. ``field`` is empty where the file as a whole is meant."""

    file: str
    line: int
    field: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {self.severity}: {where}{self.message}"


class TriageFileError(Exception):
    """The operator's fault. ``findings`` are all errors of all files that were read."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    policy: TenantPolicy
    path: Path
    warnings: tuple[Finding, ...]
    text: str = field(repr=False)
    """What was read: by now the file may be another, or gone."""


@dataclass(frozen=True, slots=True)
class Tenants:
    """Policies by called number and by name. Each is a value of its own; nothing is shared."""

    by_number: Mapping[str, LoadedPolicy]
    by_name: Mapping[str, LoadedPolicy]

    def for_number(self, called_number: str) -> LoadedPolicy | None:
        """The tenant whose number was called, else the one that takes every other number."""
        return self.by_number.get(called_number) or self.by_number.get(ANY_NUMBER)

    def named(self, tenant: str) -> LoadedPolicy | None:
        return self.by_name.get(tenant)


def load(path: Path) -> LoadedPolicy:
    """The policy in ``path``; TriageFileError with every fault where it is not sound."""
    loaded, findings = _read(path)
    if loaded is None:
        raise TriageFileError(findings)
    return loaded


def check_file(path: Path) -> list[Finding]:
    """Errors and warnings of one file, in the order of its lines."""
    return _read(path)[1]


def load_folder(path: Path) -> Tenants:
    """Every ``*.toml`` of a folder, or the one file that ``path`` names.

    TriageFileError with the faults of all files, among them numbers and tenants claimed twice.
    """
    loaded: list[LoadedPolicy] = []
    errors: list[Finding] = []
    for file in files_in(path):
        try:
            loaded.append(load(file))
        except TriageFileError as error:
            errors.extend(error.findings)
    errors.extend(_claimed_twice(loaded))
    if not loaded and not errors:
        errors.append(_empty(path))
    if errors:
        raise TriageFileError(errors)
    return Tenants(
        by_number={number: one for one in loaded for number in one.policy.numbers},
        by_name={one.policy.tenant: one for one in loaded},
    )


def check_folder(path: Path) -> list[Finding]:
    """Errors and warnings of every file, and between them."""
    loaded: list[LoadedPolicy] = []
    findings: list[Finding] = []
    files = files_in(path)
    if not files:
        return [_empty(path)]
    for file in files:
        one, found = _read(file)
        findings.extend(found)
        if one is not None:
            loaded.append(one)
    return [*findings, *_claimed_twice(loaded)]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a triage file, for editors."""
    schema = TriageFile.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "triage-bridge triage file",
        "description": "One tenant: the business, its intents, and where each one goes.",
    }


# --- one file -------------------------------------------------------------------------------


def _read(path: Path) -> tuple[LoadedPolicy | None, list[Finding]]:
    """The policy where the file is sound, and everything found: errors or warnings, never both."""
    text = ""
    try:
        text = _text(path)
        raw = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as fault:
        return None, [_unreadable(path, text, fault)]
    try:
        policy, findings = _judged(str(path), text, raw)
    except RecursionError as fault:  # dotted keys are read at any depth
        return None, [_unreadable(path, text, fault)]
    if policy is None:
        return None, findings
    return LoadedPolicy(policy, path, tuple(findings), text), findings


def _judged(
    file: str, text: str, raw: Mapping[str, Any]
) -> tuple[TenantPolicy | None, list[Finding]]:
    report = _Report(file, Positions(text), raw)
    report.add("error", every_fault(raw))
    report.add("error", contradictions(_parts(raw)))
    if report.findings:
        return None, report.sorted()
    policy = TenantPolicy.model_validate(raw)
    report.add("warning", advice(policy))
    return policy, report.sorted()


def _text(path: Path) -> str:
    data = path.read_bytes()
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"has {len(data)} bytes, allowed are {MAX_FILE_BYTES}")
    return data.decode("utf-8-sig")


def _unreadable(path: Path, text: str, fault: OSError | ValueError | RecursionError) -> Finding:
    line = 1
    match fault:
        case UnicodeDecodeError():
            message = f"is not UTF-8 text (byte {fault.start})"
        case tomllib.TOMLDecodeError():
            message = f"is not valid TOML: {fault}"
            line = _line_in(str(fault), text)
        case RecursionError():
            message = "nests lists or tables too deeply"
        case OSError():
            message = f"cannot be read: {fault.strerror}"
        case _:
            message = str(fault)
    return Finding(str(path), line, "", "error", message)


def _line_in(message: str, text: str) -> int:
    """tomllib says "(at line 3, column 5)" or "(at end of document)"; older ones only in words."""
    found = re.search(r"at line (\d+)", message)
    return int(found.group(1)) if found else max(1, len(text.splitlines()))


class _Report:
    def __init__(self, file: str, positions: Positions, raw: Mapping[str, Any]) -> None:
        self._file = file
        self._positions = positions
        self._raw = raw
        self.findings: list[Finding] = []

    def add(self, severity: Severity, faults: Iterable[Fault]) -> None:
        for path, message in faults:
            line = self._positions.line(path)
            field = _field_name(path, self._raw)
            self.findings.append(Finding(self._file, line, field, severity, message))

    def sorted(self) -> list[Finding]:
        return sorted(self.findings, key=lambda finding: finding.line)


def _field_name(path: FieldPath, raw: object) -> str:
    """``intent[billing].slots[name].kind``; entries without a name by position, ``[#1]`` first."""
    field = ""
    for step in path:
        raw = child(raw, step)
        if isinstance(step, int):
            name = raw.get("name") if isinstance(raw, Mapping) else None
            field += f"[{name}]" if isinstance(name, str) else f"[#{step + 1}]"
        else:
            field += f".{step}" if field else step
    return field


def _parts(raw: Mapping[str, Any]) -> Parts:
    """What can be held against each other, however much else is wrong with the file."""
    routes = raw.get("routes")
    places: dict[FieldPath, object] = {(key,): raw.get(key) for key in ("default", "human")}
    places |= {("intent", index): value for index, value in _entries(raw, "intent")}
    return Parts(
        routes={
            name: _sound(_ROUTE, value)
            for name, value in (routes.items() if isinstance(routes, Mapping) else ())
        },
        destinations={
            path: destination
            for path, value in places.items()
            if (destination := _destination(value)) is not None
        },
        intents=_names(raw, "intent"),
        tools=_names(raw, "tool"),
        then=_led_on(routes),
        guard_page=_text_at(raw, "guard", "page"),
        called=tuple(one for one in _list_at(raw, "numbers") if isinstance(one, str)),
    )


def _led_on(routes: object) -> dict[str, str]:
    """``then`` of every page route, by its name."""
    tables = routes.items() if isinstance(routes, Mapping) else ()
    return {
        name: then
        for name, route in tables
        if isinstance(route, Mapping) and route.get("kind") == "page"
        if isinstance(then := route.get("then"), str)
    }


def _text_at(raw: Mapping[str, Any], table: str, key: str) -> str | None:
    value = raw.get(table)
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None


def _list_at(raw: Mapping[str, Any], key: str) -> list[object]:
    value = raw.get(key)
    return value if isinstance(value, list) else []


def _destination(value: object) -> Destination | None:
    if not isinstance(value, Mapping):
        return None
    ours = {key: value[key] for key in ("route", "on_failure") if key in value}
    return _sound(_DESTINATION, ours)


def _entries(raw: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    value = raw.get(key)
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        if isinstance(entry, Mapping):
            yield index, entry


def _names(raw: Mapping[str, Any], key: str) -> dict[int, str]:
    names = ((index, entry.get("name")) for index, entry in _entries(raw, key))
    return {index: name for index, name in names if isinstance(name, str)}


def _sound(adapter: TypeAdapter[_Model], value: object) -> _Model | None:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None


# --- several files --------------------------------------------------------------------------


def files_in(path: Path) -> list[Path]:
    """The triage files that ``path`` stands for: those of a folder, or the one it names."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.glob("*.toml") if file.is_file())


def _empty(folder: Path) -> Finding:
    return Finding(str(folder), 1, "", "error", "holds no triage file (*.toml)")


def _claimed_twice(loaded: list[LoadedPolicy]) -> Iterator[Finding]:
    owners: dict[tuple[str, str], Path] = {}
    for one in loaded:
        positions = Positions(one.text)
        claims: list[tuple[FieldPath, str, str]] = [(("tenant",), "tenant", one.policy.tenant)]
        for index, number in enumerate(one.policy.numbers):
            claims.append((("numbers", index), "number", number))
        for path, what, value in claims:
            owner = owners.setdefault((what, value), one.path)
            if owner != one.path:
                line = positions.line(path)
                text = f"{what} {value!r} belongs to {owner.name} already"
                yield Finding(str(one.path), line, str(path[0]), "error", text)
