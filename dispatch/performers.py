"""Side effects carried out: each kind's payload read, checked, and sent where it belongs.

Knows no outbox. ``Effect.in_doubt`` tells that an earlier attempt may have been carried out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from dispatch.effects import EffectKind
from dispatch.mail import Mail, MailError, MailSettings, send_mail
from dispatch.rest import CallbackTask, CallTask, FlowExecution, TextMessage, TwilioRest
from dispatch.rest_client import NotDoneError, RefusedError, RestError


@dataclass(frozen=True, slots=True)
class Effect:
    """One attempt. ``identity`` is the same for all attempts at one effect, and no other's."""

    payload: Mapping[str, Any]
    identity: str
    created_at: dt.datetime
    in_doubt: bool = False


class PerformError(Exception):
    """The attempt came to nothing, as far as is known.

    ``for_good``: never to be tried again. ``in_doubt``: it may have been carried out.
    """

    def __init__(self, what: str, *, for_good: bool = False, in_doubt: bool = False) -> None:
        self.for_good = for_good
        self.in_doubt = in_doubt
        super().__init__(what)


Performer: TypeAlias = Callable[[Effect], Awaitable[str]]
"""Gives what came of it: a SID or a Message-ID. Raises PerformError."""


def performers(rest: TwilioRest | None, mail: MailSettings | None) -> Mapping[str, Performer]:
    """By kind, of all there are (effects.py).

    Without credentials or a server an effect is refused with what is missing.
    """
    known: Mapping[EffectKind, Performer] = {
        "callback_task": _by_rest(rest, _create_task),
        "studio_execution": _by_rest(rest, _start_execution),
        "sms": _by_rest(rest, _send_sms),
        "look_back": _by_rest(rest, _look_back),
        "email": _by_mail(mail),
    }
    return {kind: performer for kind, performer in known.items()}  # noqa: C416 - any text is asked


_RestPerformer: TypeAlias = Callable[[TwilioRest, Effect], Awaitable[str]]


def _by_rest(rest: TwilioRest | None, perform: _RestPerformer) -> Performer:
    async def performed(effect: Effect) -> str:
        if rest is None:
            raise PerformError("no credentials of Twilio's REST API are set", for_good=True)
        try:
            return await perform(rest, effect)
        except RefusedError as refused:
            raise PerformError(str(refused), for_good=_for_good(refused)) from None
        except NotDoneError as error:
            # Of this attempt; a look-up that failed leaves an earlier one as it was.
            raise PerformError(str(error), in_doubt=effect.in_doubt) from None
        except RestError as error:
            raise PerformError(str(error), in_doubt=True) from None
        except ValidationError as fault:
            where = ", ".join(".".join(map(str, one["loc"])) for one in fault.errors())
            raise PerformError(f"the payload is wrong: {where}", for_good=True) from None

    return performed


def _for_good(refused: RefusedError) -> bool:
    """Wrong credentials and unpaid bills get mended by people; the rest stays refused."""
    return refused.status not in (401, 402, 403)


_TASK = TypeAdapter(CallbackTask)
_EXECUTION = TypeAdapter(FlowExecution)
_MESSAGE = TypeAdapter(TextMessage)
_CALL_TASK = TypeAdapter(CallTask)


async def _create_task(rest: TwilioRest, effect: Effect) -> str:
    task = _TASK.validate_python(effect.payload)
    return await rest.create_callback_task(task, in_doubt=effect.in_doubt)


async def _start_execution(rest: TwilioRest, effect: Effect) -> str:
    wanted = _EXECUTION.validate_python({**effect.payload, "since": effect.created_at})
    return await rest.start_execution(wanted, in_doubt=effect.in_doubt)


async def _send_sms(rest: TwilioRest, effect: Effect) -> str:
    message = _MESSAGE.validate_python({**effect.payload, "since": effect.created_at})
    return await rest.send_sms(message, in_doubt=effect.in_doubt)


async def _look_back(rest: TwilioRest, effect: Effect) -> str:
    """Asked again until it is given up: then it stands among the dead letters."""
    sought = _CALL_TASK.validate_python(effect.payload)
    found = await rest.find_call_task(sought)
    if found is None:
        raise PerformError(f"no Task of call {sought.call_sid} has appeared")
    return found


def _by_mail(settings: MailSettings | None) -> Performer:
    async def performed(effect: Effect) -> str:
        if settings is None:
            raise PerformError("SMTP_URL and SMTP_FROM are not set", for_good=True)
        payload = effect.payload
        mail = Mail(
            to=str(payload["to"]),
            subject=str(payload["subject"]),
            text=str(payload["text"]),
            identity=effect.identity,
            sent_at=effect.created_at,
        )
        try:
            # SMTP has no way to ask what was taken: better twice, with one Message-ID, than never.
            return await send_mail(settings, mail)
        except MailError as error:
            raise PerformError(
                str(error), for_good=error.for_good, in_doubt=error.in_doubt
            ) from None

    return performed
