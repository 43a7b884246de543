"""What the webhooks need of the part that holds the calls; ``bridge.legs.switchboard`` fills it."""

from __future__ import annotations

from typing import Protocol


class Switchboard(Protocol):
    def expect_call(self, tenant: str) -> None:
        """A caller was sent to the media socket and arrives within moments."""
        ...

    @property
    def live_calls(self) -> int: ...

    def not_ready(self) -> list[str]:
        """Why no new call can be served now, as snake_case reasons; empty when one can."""
        ...
