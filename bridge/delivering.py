"""Between the outbox and those who carry its effects out: ``dispatch`` knows no outbox."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from bridge.store.ledger import SideEffect
from bridge.store.outbox import Delivery
from bridge.store.worker import GiveUpError, Perform, TryAgainError
from dispatch.effects import WantedEffect
from dispatch.performers import Effect, Performer, PerformError


def to_store(effects: Iterable[WantedEffect]) -> tuple[SideEffect, ...]:
    """As the ledger keeps them."""
    return tuple(
        SideEffect(one.kind, one.payload, one.key, one.delay_s, one.deliver_within_s)
        for one in effects
    )


def deliverers(performers: Mapping[str, Performer]) -> dict[str, Perform]:
    """What the outbox's worker calls, by kind."""
    return {kind: _deliverer(performer) for kind, performer in performers.items()}


def _deliverer(performer: Performer) -> Perform:
    async def deliver(delivery: Delivery) -> str:
        effect = Effect(
            payload=delivery.payload,
            identity=f"{delivery.call_sid}/{delivery.hop}/{delivery.kind}/{delivery.key}",
            created_at=dt.datetime.fromtimestamp(delivery.created_at, dt.UTC),
            in_doubt=delivery.in_doubt,
        )
        try:
            return await performer(effect)
        except PerformError as error:
            if error.for_good:
                raise GiveUpError(str(error)) from None
            raise TryAgainError(str(error), in_doubt=error.in_doubt) from None

    return deliver
