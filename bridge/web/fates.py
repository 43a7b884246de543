"""What the webhooks hear of calls that the AI had; ``bridge.traffic.desk`` wants to know."""

from __future__ import annotations

from typing import Protocol


class Fates(Protocol):
    """Neither waits nor raises."""

    def lost(self, tenant: str) -> None:
        """A call came back from its stream without a decision: whoever held it is gone."""
        ...

    def route_failed(self, tenant: str) -> None:
        """A call could not be handed to where it was sent."""
        ...


class _Unheard:
    def lost(self, tenant: str) -> None: ...

    def route_failed(self, tenant: str) -> None: ...


UNHEARD: Fates = _Unheard()
"""For installations whose rollouts nobody guards."""
