"""The event loop of every process of ours."""

from __future__ import annotations

import asyncio

import aiofastnet
import uvloop


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop with aiofastnet's transports, under HTTP, the media socket and the model's alike.

    picows already uses these transports for what it connects itself. uvicorn's listening socket
    gets them here, and a media socket keeps the transport that it was accepted on.
    """
    return aiofastnet.loop_factory(uvloop.new_event_loop)()
