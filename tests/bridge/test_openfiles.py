"""Running out of descriptors: nobody waits for it, and nothing spins."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from bridge.openfiles import RESERVE, FreeFiles, ListeningSocket


@contextlib.contextmanager
def at_most(soft: int) -> Iterator[None]:
    """This process may open so many descriptors."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    """Every descriptor that this process may have is open."""
    highest = max(int(name) for name in os.listdir("/dev/fd"))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] <= highest:
        opened.append(os.open(os.devnull, os.O_RDONLY))
    try:
        with at_most(opened[-1] + 1):
            yield
    finally:
        for descriptor in opened:
            os.close(descriptor)


def test_free_descriptors_are_looked_at_once_a_second() -> None:
    files = FreeFiles()
    assert not files.short(0.0)
    with at_most(RESERVE):
        assert [files.short(0.9), files.short(1.0)] == [False, True]
    assert [files.short(1.9), files.short(2.0)] == [True, False]


def test_where_none_is_left_to_look_with_it_is_short() -> None:
    with none_left():
        assert FreeFiles().short(0.0)


def test_without_a_descriptor_a_connection_is_turned_away_and_the_queue_is_empty() -> None:
    with ListeningSocket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(5)
        listening.setblocking(False)
        address = listening.getsockname()
        with socket.create_connection(address, timeout=5) as turned_away:
            with none_left():
                for _ in range(2):  # the second time because nobody is there any more
                    with pytest.raises(BlockingIOError) as told:
                        listening.accept()
                    assert told.value.errno == errno.EAGAIN
            assert turned_away.recv(1) == b""
        with socket.create_connection(address):
            accepted, _ = listening.accept()
            accepted.close()
