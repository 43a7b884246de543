"""One leg of a call and the documents that run on it: fetch, check, verb after verb, until it ends.

A verb answers with what comes next: nothing (the next verb), another document, or the end. Hanging
up and REST updates reach a waiting verb as ``Interrupted``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar
from urllib.parse import urljoin

from loadtest.twilio import studio, twiml
from loadtest.twilio.journal import Journal
from loadtest.twilio.notices import Code
from loadtest.twilio.outcomes import (
    CallerHungUp,
    CompletedByRest,
    DocumentError,
    FellOffTheEnd,
    Outcome,
)
from loadtest.twilio.settings import Settings
from loadtest.twilio.twiml import Element
from loadtest.twilio.webhooks import Method, WebhookFailed, Webhooks

T = TypeVar("T")
MAX_DOCUMENTS = 100
MAX_DIGITS = 64
_XML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})


@dataclass(frozen=True, slots=True)
class Goto:
    """Fetch the document at ``url`` and go on there."""

    url: str
    method: Method = "POST"
    params: Mapping[str, str] = field(default_factory=dict)
    purpose: str = "document"


@dataclass(frozen=True, slots=True)
class Inline:
    """Go on with this document, which came without a URL."""

    twiml: bytes


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more to run."""

    outcome: Outcome


Next: TypeAlias = Goto | Inline | Finish | None


@dataclass(frozen=True, slots=True)
class HungUp:
    """The leg is gone; ``by_rest`` when a REST update completed it."""

    reason: str
    by_rest: bool = False


@dataclass(frozen=True, slots=True)
class Updated:
    """A REST update replaced the document."""

    next: Goto | Inline


Interruption: TypeAlias = HungUp | Updated


class Interrupted(Exception):  # noqa: N818 - past tense: it happened
    """What was waited for does not matter any more."""

    def __init__(self, interruption: Interruption) -> None:
        self.interruption = interruption
        super().__init__(str(interruption))


Handler: TypeAlias = Callable[[Element], Awaitable[Next]]


class Leg:
    """What every leg has. ``verbs`` are the handlers of the verbs it may run."""

    def __init__(
        self, journal: Journal, webhooks: Webhooks, settings: Settings, params: Mapping[str, str]
    ) -> None:
        self.journal = journal
        self.webhooks = webhooks
        self.settings = settings
        self.params = dict(params)
        self.digits: asyncio.Queue[str] = asyncio.Queue(MAX_DIGITS)
        self.verbs: dict[str, Handler] = {}
        self.document_url = ""
        self.fallback_url: str | None = None
        self._interruption: Interruption | None = None
        self._interrupted = asyncio.Event()

    # --- waiting ------------------------------------------------------------------------------

    @property
    def hung_up(self) -> bool:
        return isinstance(self._interruption, HungUp)

    def interrupt(self, interruption: Interruption) -> None:
        """End what is being waited for. Nothing comes after a hang-up."""
        if not self.hung_up:
            self._interruption = interruption
            self._interrupted.set()

    def _take_interruption(self) -> Interruption | None:
        interruption = self._interruption
        if isinstance(interruption, Updated):
            self._interruption = None
            self._interrupted.clear()
        return interruption

    async def until(self, waiting: Awaitable[T], timeout_s: float | None = None) -> T:
        """Its result, or TimeoutError, or Interrupted; in both cases ``waiting`` is cancelled."""
        task = asyncio.ensure_future(waiting)
        bell = asyncio.ensure_future(self._interrupted.wait())
        try:
            await asyncio.wait({task, bell}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if bell.done() and (interruption := self._take_interruption()) is not None:
                raise Interrupted(interruption)
            raise TimeoutError
        finally:
            for future in (task, bell):
                future.cancel()
            await asyncio.wait({task, bell})

    async def pass_time(self, seconds: float) -> None:
        """Let time go by; Interrupted when the leg goes first."""
        await self.until(asyncio.sleep(seconds))

    # --- documents ----------------------------------------------------------------------------

    def absolute(self, url: str) -> str:
        """A URL from a document: relative ones count from the document's own."""
        return urljoin(self.document_url, url)

    def action(self, verb: Element, purpose: str, **params: str) -> Goto | None:
        """The verb's action URL with what is told to it; None if it has none."""
        url = verb.get("action")
        if not url:
            return None
        return Goto(self.absolute(url), method_of(verb), params, purpose)

    async def tell(self, goto: Goto | None) -> None:
        """Ask an action though nobody is left to run its document."""
        if goto is None or studio.recognise(goto.url) is not None:
            return
        try:
            params = {**self.params, **goto.params}
            await self.webhooks.request(goto.purpose, goto.url, goto.method, params)
        except WebhookFailed as failure:
            self.journal.error(failure.code, failure.message)

    async def ask(self, goto: Goto) -> bytes:
        """The document at a URL; WebhookFailed when there is none."""
        params = {**self.params, **goto.params}
        asking = self.webhooks.request(goto.purpose, goto.url, goto.method, params)
        answer = (await self.until(asking)).answer
        if answer is None or answer.content_type not in _XML_TYPES:
            kind = answer.content_type if answer is not None else "nothing"
            message = f"{goto.purpose} answered with {kind}, expected text/xml"
            raise WebhookFailed(Code.INVALID_CONTENT_TYPE, message, goto.url)
        self.document_url = goto.url
        return answer.body

    async def run(self, start: Goto | Inline) -> Outcome:
        """Run documents from ``start`` until the leg ends."""
        following: Next = start
        for _ in range(MAX_DOCUMENTS):
            try:
                following = await self._run_one(following)
            except Interrupted as interrupted:
                following = _after(interrupted.interruption)
            if isinstance(following, Finish):
                return following.outcome
        message = f"more than {MAX_DOCUMENTS} documents in one call"
        self.journal.error(Code.HTTP_RETRIEVAL_FAILURE, message)
        return DocumentError(Code.HTTP_RETRIEVAL_FAILURE, message, self.document_url)

    async def _run_one(self, following: Next) -> Next:
        try:
            match following:
                case Goto(url=url) if (outcome := studio.recognise(url)) is not None:
                    return self.studio(outcome)
                case Goto():
                    text = await self.ask(following)
                case Inline(text):
                    self.document_url = ""
                case other:
                    return other
            document = self._parse(text)
        except WebhookFailed as failure:
            return self._failed(failure)
        for verb in document.verbs:
            self.journal.event("verb", verb=verb.name)
            after = await self.verbs[verb.name](verb)
            if after is not None:
                return after
        return Finish(FellOffTheEnd())

    def studio(self, outcome: Outcome) -> Next:
        """Studio has the call now: that is where it went."""
        return Finish(outcome)

    def _parse(self, text: bytes) -> twiml.Document:
        try:
            document = twiml.parse(text, frozenset(self.verbs))
        except twiml.BadDocument as error:
            code = Code.DOCUMENT_PARSE_FAILURE
            raise WebhookFailed(code, str(error), self.document_url) from None
        self.journal.event("document", url=self.document_url, twiml=text.decode(errors="replace"))
        for fault in document.faults:
            self.journal.error(Code.SCHEMA_VALIDATION, fault)
        return document

    def _failed(self, failure: WebhookFailed) -> Next:
        """No document: the fallback URL is asked once, then the call is over."""
        self.journal.error(failure.code, failure.message)
        fallback, self.fallback_url = self.fallback_url, None
        if fallback is None:
            return Finish(DocumentError(failure.code, failure.message, failure.url))
        params = {"ErrorCode": str(failure.code.value), "ErrorUrl": failure.url}
        return Goto(fallback, "POST", params, "fallback")


def method_of(element: Element, attribute: str = "method") -> Method:
    return "GET" if element.get(attribute) == "GET" else "POST"


def _after(interruption: Interruption) -> Next:
    match interruption:
        case HungUp(by_rest=True):
            return Finish(CompletedByRest())
        case HungUp(reason=reason):
            return Finish(CallerHungUp(reason))
        case Updated(next=following):
            return following
