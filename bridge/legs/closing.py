"""The end of one websocket: our close, the peer's answer or a bounded wait for it, nothing left."""

from __future__ import annotations

import asyncio

from picows import WSCloseCode, WSTransport

from bridge.errors import RemoteProtocolError

BROKEN = {
    WSCloseCode.MESSAGE_TOO_BIG: "message_too_big",
    WSCloseCode.PROTOCOL_ERROR: "protocol_error",
    WSCloseCode.INVALID_TEXT: "protocol_error",
}
"""Close codes that the websocket layer sends by itself, and what they blame the peer for."""


class Closing:
    """Ends a socket in order: whoever closes waits for the other side's close before it hangs up.

    Hanging up at once would lose the close frame where the peer's data is still unread. A peer
    that does not answer within ``answer_s``, or does not read, is cut off.
    """

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s
        self._timer: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()
        self.begun = False

    def begin(self, transport: WSTransport, code: WSCloseCode, reason: str = "") -> None:
        """Send our close; the peer's answer, or the end of the wait, ends the connection."""
        self.begun = True
        transport.send_close(code, reason.encode())
        self._cut_off_later(transport)

    def peer_closed(self, transport: WSTransport) -> None:
        """The peer's close came: answer it unless it is the answer to ours, and hang up."""
        self.begun = True
        transport.send_close(WSCloseCode.OK)
        transport.disconnect()
        self._cut_off_later(transport)  # what is unsent keeps the socket open

    def over(self) -> None:
        """The connection is gone, or there never was one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gone.set()

    async def wait(self) -> None:
        """Until the connection is gone. Bounded once the closing has begun."""
        await self._gone.wait()

    def _cut_off_later(self, transport: WSTransport) -> None:
        if self._timer is None and not self._gone.is_set():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._answer_s, transport.disconnect, False)


def peers_fault(transport: WSTransport) -> RemoteProtocolError | None:
    """What the websocket layer itself closed this connection for, if it did."""
    handshake = transport.close_handshake
    sent = handshake.sent if handshake is not None else None
    if sent is None or handshake.recv_then_sent or sent.code not in BROKEN:
        return None
    return RemoteProtocolError(sent.reason or sent.code.name, reason=BROKEN[sent.code])


def received_code(transport: WSTransport) -> int:
    """The close code that the peer sent; 1006 where it sent none."""
    handshake = transport.close_handshake
    if handshake is None or handshake.recv is None:
        return WSCloseCode.ABNORMAL_CLOSURE.value
    return int(handshake.recv.code.value)
