"""The verbs that any leg can run: speaking, waiting, keys, going elsewhere, ending."""

from __future__ import annotations

import time
from collections.abc import Iterable

import audiocodecs
from loadtest.twilio.leg import Finish, Goto, Handler, Leg, Next, method_of
from loadtest.twilio.notices import Code
from loadtest.twilio.outcomes import Hangup
from loadtest.twilio.twiml import Element
from loadtest.twilio.webhooks import WebhookFailed


class BasicVerbs:
    """Handlers for one leg."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    def table(self) -> dict[str, Handler]:
        return {
            "Say": self._prompt,
            "Play": self._prompt,
            "Pause": self._prompt,
            "Gather": self._gather,
            "Redirect": self._redirect,
            "Hangup": self._hangup,
        }

    async def _prompt(self, verb: Element) -> Next:
        await self._leg.pass_time(await self._length_s([verb]))
        return None

    async def _redirect(self, verb: Element) -> Next:
        return Goto(self._leg.absolute(verb.text), method_of(verb), purpose="redirect")

    async def _hangup(self, verb: Element) -> Next:
        return Finish(Hangup())

    # --- keys ---------------------------------------------------------------------------------

    async def _gather(self, verb: Element) -> Next:
        """Collect keys while the prompts play and for ``timeout`` after them and after each key."""
        digits = await self._collect(verb)
        if not digits and verb.get("actionOnEmptyResult") != "true":
            return None
        url = self._leg.absolute(verb.get("action")) or self._leg.document_url
        return Goto(url, method_of(verb), {"Digits": digits}, "gather action")

    async def _collect(self, verb: Element) -> str:
        timeout_s = verb.number("timeout", 5)
        wanted = verb.number("numDigits", 0)
        finish = verb.get("finishOnKey", "#")
        deadline = time.monotonic() + await self._length_s(verb.children) + timeout_s
        digits = ""
        while not wanted or len(digits) < wanted:
            try:
                left_s = max(0.0, deadline - time.monotonic())
                digit = await self._leg.until(self._leg.digits.get(), left_s)
            except TimeoutError:
                break
            if finish and digit in finish:
                break
            digits += digit
            deadline = time.monotonic() + timeout_s
        return digits

    # --- how long prompts take ----------------------------------------------------------------

    async def _length_s(self, prompts: Iterable[Element]) -> float:
        return sum([await self._one_length_s(prompt) for prompt in prompts])

    async def _one_length_s(self, prompt: Element) -> float:
        loops = max(1, prompt.number("loop", 1))
        if prompt.name == "Pause":
            return prompt.number("length", 1)
        if prompt.name == "Say":
            words = len(prompt.text.split())
            return loops * words * self._leg.settings.say_ms_per_word / 1000
        return loops * await self._media_length_s(prompt.text)

    async def _media_length_s(self, url: str) -> float:
        """Fetches what is to be played, as Twilio does; the caller hears it as time only."""
        leg = self._leg
        try:
            asking = leg.webhooks.request("play", leg.absolute(url), "GET", {})
            answer = (await leg.until(asking)).answer
            audio = audiocodecs.decode_wav(answer.body if answer is not None else b"")
        except WebhookFailed as failure:
            leg.journal.error(failure.code, failure.message)
        except audiocodecs.WavError as error:
            leg.journal.warning(Code.HTTP_RETRIEVAL_FAILURE, f"play: {error}")
        else:
            return audio.duration_ms / 1000
        return leg.settings.unknown_play_ms / 1000
