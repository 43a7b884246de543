"""``python -m loadtest.harness.sink --port N``: takes media streams and does nothing with them.

What a generator's calls cost by themselves is measured against it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

BACKLOG = 4096


class _Sink(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()


def _take(_request: WSUpgradeRequest) -> WSListener:
    return _Sink()


async def _serve(port: int) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await ws_create_server(_take, "127.0.0.1", port, backlog=BACKLOG)
    awake = asyncio.create_task(_stay_awake())
    await stopped.wait()
    awake.cancel()
    server.close()


async def _stay_awake() -> None:
    """A far end that sleeps has to be woken by every frame, which on a virtual machine costs the
    sender more than the frame; one that has something to do, as a loaded bridge has, does not."""
    while True:  # noqa: ASYNC110 - there is nothing to wait for
        await asyncio.sleep(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes media streams, says nothing.")
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
