"""The simulated Twilio: an account that places calls and answers REST requests about them."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from types import TracebackType

import aiohttp

from loadtest.twilio.call import CallLeg, Exchange, run_call
from loadtest.twilio.directory import Execution, Message
from loadtest.twilio.faults import RestFaults
from loadtest.twilio.fittings import PLAIN, Fittings
from loadtest.twilio.journal import Journal
from loadtest.twilio.leg import HungUp
from loadtest.twilio.pacing import Lateness
from loadtest.twilio.rest import RestCall, RestServer
from loadtest.twilio.result import CallResult
from loadtest.twilio.script import CallScript
from loadtest.twilio.settings import PhoneNumber, Settings
from loadtest.twilio.taskrouter import Task
from loadtest.twilio.timeline import Observer, Timeline
from loadtest.twilio.webhooks import Webhooks, WebhookSettings


class SimulatedTwilio:
    """Use as ``async with``. ``rng`` makes identifiers: pass a seeded one to repeat a run."""

    def __init__(
        self,
        settings: Settings,
        number: PhoneNumber | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self.number = number
        self.exchange = Exchange(settings, rng if rng is not None else random.Random())
        self.rest_faults = RestFaults()
        self.rest_url = ""
        self._rest = RestServer(self.exchange, self.rest_faults)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> SimulatedTwilio:
        # The default limit of 100 would queue call 101. Kept connections would sometimes be closed
        # by the application just as they are used again, which looks like its failure.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        if self.settings.rest_port is not None:
            self.rest_url = await self._rest.start(self.settings.rest_port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._rest.stop()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def place_call(
        self,
        script: CallScript,
        observer: Observer | None = None,
        number: PhoneNumber | None = None,
        repeats: frozenset[str] = frozenset(),
        fittings: Fittings = PLAIN,
    ) -> CallResult:
        """One inbound call, to its end. Many may run at once; each is bounded by its script.

        ``repeats``: purposes of requests that this call sends twice, besides the settings'.
        ``fittings``: what is on this call's line.
        """
        if self._session is None:
            raise RuntimeError("the simulated Twilio is not running: use it as `async with`")
        exchange, settings = self.exchange, self.settings
        sid = exchange.sids.new("CA")
        journal = Journal(Timeline(sid, time.monotonic(), observer))
        web = WebhookSettings(
            settings.account_sid,
            settings.auth_token,
            settings.origins,
            settings.webhook_signing,
            settings.ssl_context,
            settings.webhook_timeout_s,
            settings.repeated_webhooks | repeats,
        )
        webhooks = Webhooks(self._session, web, journal, exchange.sids)
        call = CallLeg(sid, script, journal, webhooks, exchange, fittings)
        exchange.directory.open(call)
        try:
            return await run_call(call, number if number is not None else self.number)
        finally:
            exchange.directory.close(sid)

    def hang_up_all(self, reason: str) -> int:
        """Every caller leaves now. How many there were."""
        live = list(self.exchange.directory.live.values())
        for record in live:
            if record.leg is not None:
                record.leg.interrupt(HungUp(reason))
        return len(live)

    async def hang_up_connections(self) -> None:
        """Close the connections that are kept for further webhooks."""
        if self._session is not None and self._session.connector is not None:
            await self._session.connector.close()
            self._session = None

    # --- what came in by REST, and what is kept ------------------------------------------------

    @property
    def tasks(self) -> Sequence[Task]:
        """Tasks made by ``<Enqueue>`` and by REST, oldest first."""
        return self.exchange.taskrouter.tasks

    @property
    def executions(self) -> Sequence[Execution]:
        return self.exchange.directory.executions

    @property
    def messages(self) -> Sequence[Message]:
        return self.exchange.directory.messages

    @property
    def rest_calls(self) -> Sequence[RestCall]:
        """Every REST request in order."""
        return self._rest.calls

    @property
    def live_calls(self) -> int:
        return len(self.exchange.directory.live)

    def lateness(self) -> Lateness:
        """How late the simulator itself was, over all calls so far."""
        return self.exchange.wheel.lateness()
