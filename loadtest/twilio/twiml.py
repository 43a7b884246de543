"""TwiML documents: parsed and checked against what Twilio documents, verb by verb.

Unknown verbs, nouns and attributes are faults (Twilio's 12200) and are left out of what is run.
Source: https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAX_DOCUMENT_BYTES = 64 * 1024
MAX_PARAMETER_CHARACTERS = 500


class BadDocument(Exception):  # noqa: N818 - Twilio calls it a document parse failure
    """Not a TwiML document at all."""


@dataclass(frozen=True, slots=True)
class Element:
    """A verb or noun with the attributes that are known for it."""

    name: str
    attributes: Mapping[str, str]
    text: str
    children: tuple[Element, ...]

    def get(self, attribute: str, default: str = "") -> str:
        return self.attributes.get(attribute, default)

    def number(self, attribute: str, default: int) -> int:
        """A numeric attribute; ``parse`` has left out what is not a number."""
        return int(self.attributes.get(attribute, default))

    def nouns(self, *names: str) -> Iterator[Element]:
        return (child for child in self.children if child.name in names)


@dataclass(frozen=True, slots=True)
class Document:
    """What to run, in order, and what was wrong with it."""

    verbs: tuple[Element, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    attributes: frozenset[str]
    children: frozenset[str] = frozenset()


def _rule(attributes: str = "", children: str = "") -> _Rule:
    return _Rule(frozenset(attributes.split()), frozenset(children.split()))


_CALLBACK = "statusCallback statusCallbackMethod"
_RECORDING = (
    "recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent trim"
)
_RULES: dict[str, _Rule] = {
    "Connect": _rule("action method", "Stream"),
    "Stream": _rule(f"url name track {_CALLBACK}", "Parameter"),
    "Parameter": _rule("name value"),
    "Redirect": _rule("method"),
    "Say": _rule("voice language loop"),
    "Play": _rule("loop digits"),
    "Pause": _rule("length"),
    "Record": _rule(
        "action method timeout finishOnKey maxLength playBeep transcribe transcribeCallback "
        + _RECORDING
    ),
    "Enqueue": _rule("action method waitUrl waitUrlMethod workflowSid maxQueueSize", "Task"),
    "Task": _rule("priority timeout"),
    "Dial": _rule(
        "action method timeout callerId hangupOnStar timeLimit record answerOnBridge ringTone "
        f"sequential {_RECORDING}",
        "Number Sip",
    ),
    "Number": _rule(f"url method sendDigits byoc statusCallbackEvent {_CALLBACK}"),
    "Sip": _rule(f"url method username password statusCallbackEvent {_CALLBACK}"),
    "Gather": _rule(
        "input action method timeout finishOnKey numDigits actionOnEmptyResult language hints "
        "speechTimeout speechModel enhanced profanityFilter bargeIn partialResultCallback "
        "partialResultCallbackMethod",
        "Say Play Pause",
    ),
    "Hangup": _rule(),
    "Leave": _rule(),
    "Reject": _rule("reason"),
}

_NUMBERS = frozenset(
    {"timeout", "numDigits", "length", "maxLength", "loop", "timeLimit", "priority", "maxQueueSize"}
)

WHISPER_VERBS = frozenset({"Say", "Play", "Pause", "Gather", "Redirect", "Hangup"})
WAIT_VERBS = WHISPER_VERBS | {"Leave"}
CALL_VERBS = WAIT_VERBS | {"Connect", "Record", "Enqueue", "Dial", "Reject"}


def parse(text: bytes, allowed: frozenset[str] = CALL_VERBS) -> Document:
    """Read one document. BadDocument when it is not TwiML; smaller faults are in the result."""
    if len(text) > MAX_DOCUMENT_BYTES:
        raise BadDocument(f"{len(text)} bytes long, expected at most {MAX_DOCUMENT_BYTES}")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise BadDocument("has a document type, expected plain TwiML")
    try:
        # Entities are refused above, which leaves nothing to attack the parser with.
        root = ET.fromstring(text)  # noqa: S314
    except ET.ParseError as error:
        raise BadDocument(f"not well-formed XML: {error}") from None
    if root.tag != "Response":
        raise BadDocument(f"the outermost element is {root.tag}, expected Response")
    faults: list[str] = []
    verbs = tuple(_elements(root, allowed, "Response", faults))
    return Document(verbs, tuple(faults))


def _elements(
    parent: ET.Element, allowed: frozenset[str], where: str, faults: list[str]
) -> Iterator[Element]:
    for node in parent:
        if node.tag not in _RULES or node.tag not in allowed:
            faults.append(f"{node.tag} is not known inside {where}")
            continue
        yield _element(node, faults)


def _element(node: ET.Element, faults: list[str]) -> Element:
    rule = _RULES[node.tag]
    unknown = sorted(node.attrib.keys() - rule.attributes)
    faults.extend(f"{node.tag} has no attribute {name}" for name in unknown)
    numbers = sorted(_NUMBERS & node.attrib.keys())
    wrong = {name: node.attrib[name] for name in numbers if not _is_number(node.attrib[name])}
    faults.extend(f"{node.tag} {name} is {it!r}, expected a number" for name, it in wrong.items())
    known = {
        name: value
        for name, value in node.attrib.items()
        if name in rule.attributes and name not in wrong
    }
    children = tuple(_elements(node, rule.children, node.tag, faults))
    element = Element(node.tag, known, (node.text or "").strip(), children)
    faults.extend(_faults_of(element))
    return element


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _faults_of(element: Element) -> Iterator[str]:
    """What else the documentation asks of an element."""
    method = element.get("method", "POST")
    if method not in ("GET", "POST"):
        yield f"{element.name} method is {method!r}, expected GET or POST"
    if element.name == "Parameter":
        yield from _parameter_faults(element)
    if element.name == "Connect" and len(element.children) != 1:
        yield f"Connect has {len(element.children)} nouns, expected 1"
    if element.name == "Redirect" and not element.text:
        yield "Redirect has no URL"


def _parameter_faults(element: Element) -> Iterator[str]:
    missing = {"name", "value"} - element.attributes.keys()
    if missing:
        yield f"Parameter lacks {' and '.join(sorted(missing))}"
    size = len(element.get("name")) + len(element.get("value"))
    if size >= MAX_PARAMETER_CHARACTERS:
        yield (
            f"Parameter {element.get('name')!r}: name and value are {size} characters long, "
            f"expected fewer than {MAX_PARAMETER_CHARACTERS}"
        )
