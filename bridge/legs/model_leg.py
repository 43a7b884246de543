"""The model's side of a call: one Realtime session, connected, configured and then bound to a call.

Audio may flow only after ``session.updated`` has echoed ``audio/pcmu`` on both sides. A session
can wait in the pool, configured and unbound; binding hands its events to a call.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import orjson
import structlog
from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSTransport,
)

from bridge.errors import RemoteProtocolError, TriageBridgeError
from bridge.legs.closing import Closing, received_code
from bridge.legs.fragments import Fragments
from bridge.legs.sockets import (
    BINARY,
    CLOSE,
    CONTINUATION,
    HIGH_WATER_BYTES,
    TEXT,
    connect_model,
)
from bridge.protocol import realtime as rt
from bridge.protocol.unhandled import UnhandledCounter

_log = structlog.get_logger("bridge.model")

ANSWER_S = 0.5
"""The server has so long to answer our close: the caller's stream waits for it, in silence."""


class ModelUnavailableError(TriageBridgeError):
    """No configured session could be had. ``reason`` is a snake_case name."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


class EndpointWatch(Protocol):
    """Who is told how the model fares. Must neither wait nor raise."""

    def connected(self) -> None: ...

    def connect_failed(self) -> None: ...

    def rate_limits(self, limits: tuple[rt.RateLimit, ...]) -> None: ...


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """Where the model is and how it is to be set up. ``url`` without the model's name."""

    url: str
    api_key: str
    session: rt.SessionSettings
    timeout_s: float = 5.0
    ssl_context: ssl.SSLContext | None = None
    watch: EndpointWatch | None = None

    @property
    def address(self) -> str:
        return f"{self.url}?model={self.session.model}"


class ModelLeg(WSListener):
    """A Realtime session on its own socket."""

    def __init__(self, endpoint: ModelEndpoint, unhandled: UnhandledCounter) -> None:
        self._endpoint = endpoint
        self._unhandled = unhandled
        self._fragments = Fragments()
        self._state = rt.SessionState()
        self._transport: WSTransport | None = None
        self._configured: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner: Callable[[rt.ServerEvent], None] | None = None
        self._on_closed: Callable[[str], None] | None = None
        self._on_pause: Callable[[bool], None] | None = None
        self._closing = Closing(ANSWER_S)
        self.opened_at = asyncio.get_running_loop().time()
        self.closed = False
        """Nothing is sent or taken any more; the socket itself may take a moment to go."""
        self.gone_at: float | None = None
        """Monotonic seconds: when the socket itself was gone."""
        self.last_error: rt.ServerError | None = None

    # --- life --------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and configure. Raises ``ModelUnavailableError``; the socket is closed then."""
        watch = self._endpoint.watch
        try:
            await self._open()
        except ModelUnavailableError:
            if watch is not None:
                watch.connect_failed()
            raise
        if watch is not None:
            watch.connected()

    async def _open(self) -> None:
        endpoint = self._endpoint
        headers = {"Authorization": f"Bearer {endpoint.api_key}"}
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                await connect_model(
                    self,
                    endpoint.address,
                    headers,
                    timeout_s=endpoint.timeout_s,
                    ssl_context=endpoint.ssl_context,
                )
                await self._configured
        except TimeoutError:
            self.close()
            raise ModelUnavailableError("model_timeout") from None
        except (OSError, WSError) as error:
            self.close()
            raise ModelUnavailableError("model_unreachable", _why(error)) from None
        except BaseException:
            self.close()
            raise

    def bind(
        self,
        owner: Callable[[rt.ServerEvent], None],
        on_closed: Callable[[str], None],
        on_pause: Callable[[bool], None],
    ) -> WSTransport:
        """Give this session to a call: its events, its end, and its back-pressure.

        Raises ``ModelUnavailableError`` if it closed meanwhile.
        """
        if self._transport is None or self.closed:
            raise ModelUnavailableError("model_closed")
        self._owner, self._on_closed, self._on_pause = owner, on_closed, on_pause
        return self._transport

    def watch(self, on_closed: Callable[[str], None]) -> None:
        """While unbound: who is to know when it closes."""
        self._on_closed = on_closed

    def send(self, command: rt.Command) -> None:
        if self._transport is not None and not self.closed:
            self._transport.send(TEXT, rt.encode(command))

    def close(self) -> None:
        """Close the socket; no event comes after this. Harmless when closed."""
        self._owner = self._on_closed = self._on_pause = None
        if self._transport is None:
            self._closing.over()
        elif not self._closing.begun:
            self._closing.begin(self._transport, WSCloseCode.OK)
        self._mark_closed()

    async def wait_closed(self) -> None:
        """Until the socket is gone; after ``close`` that is a moment."""
        await self._closing.wait()

    def _mark_closed(self) -> None:
        self.closed = True
        if not self._configured.done():
            self._configured.cancel()

    # --- picows ------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self.closed:  # given up while the server took its time: nobody wants it any more
            transport.disconnect()
            return
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(HIGH_WATER_BYTES)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is CLOSE:
            self._closing.peer_closed(transport)
            return
        if self.closed or kind not in (TEXT, CONTINUATION, BINARY):
            return
        try:
            whole = self._fragments.whole(frame)
            if whole is None:
                return
            self._received(rt.decode_object(orjson.loads(whole)))
        except (RemoteProtocolError, orjson.JSONDecodeError) as error:
            # One broken event costs that event; a server that sends only those goes silent and is
            # dealt with by the call's deadlines.
            if self._unhandled.note("(malformed)"):
                _log.warning("model_event_malformed", error=str(error)[:200])

    def _received(self, event: rt.ServerEvent) -> None:
        if isinstance(event, rt.Unhandled):
            if self._unhandled.note(event.kind):
                _log.info("model_event_unhandled", kind=event.kind)
        elif isinstance(event, rt.RateLimitsUpdated):
            if self._endpoint.watch is not None:
                self._endpoint.watch.rate_limits(event.limits)
        elif self._owner is not None:
            self._owner(event)
        else:
            self._unbound(event)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone_at = time.monotonic()
        self._closing.over()
        reason = f"model_closed_{received_code(transport)}"
        if self.last_error is not None and self.last_error.code:
            reason = self.last_error.code
        if not self._configured.done():
            self._configured.set_exception(ModelUnavailableError(reason))
        on_closed = self._on_closed
        self._owner = self._on_closed = self._on_pause = self._transport = None
        self._mark_closed()
        if on_closed is not None:
            on_closed(reason)

    def pause_writing(self) -> None:
        if self._on_pause is not None:
            self._on_pause(True)

    def resume_writing(self) -> None:
        if self._on_pause is not None:
            self._on_pause(False)

    # --- configuring -------------------------------------------------------------------------

    def _unbound(self, event: rt.ServerEvent) -> None:
        """Before a call has it: create, configure, check the echo, and refuse what is refused."""
        failure = self._state.receive(event)
        if isinstance(event, rt.ServerError):
            self.last_error = event
        if failure is not None:
            self._failed(ModelUnavailableError(failure.reason, failure.detail))
        elif isinstance(event, rt.SessionCreated):
            self.send(rt.ConfigureSession(self._endpoint.session.to_wire()))
        elif self._state.ready and not self._configured.done():
            self._configured.set_result(None)

    def _failed(self, error: ModelUnavailableError) -> None:
        if not self._configured.done():
            self._configured.set_exception(error)
        if self._transport is not None and not self._closing.begun:
            self._closing.begin(self._transport, WSCloseCode.OK)
        self._mark_closed()


def _why(error: OSError | WSError) -> str:
    """Names of ours and of the protocol only: what a peer wrote is not repeated."""
    response = error.response if isinstance(error, WSHandshakeError) else None
    status = "" if response is None else f" {int(response.status)}"
    return f"{type(error).__name__}{status}"
