"""The ledger's values as rows, and back: what is private is encrypted on the way."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from bridge.store.cipher import DataCipher, NumberHash
from bridge.store.ledger import CallOpening, HandoverReport, StoredDecision

DAY_S = 86_400


class LedgerRows:
    """Knows the columns of ``calls``, ``hops``, ``decisions`` and ``reports``."""

    def __init__(self, cipher: DataCipher, number_hash: NumberHash) -> None:
        self._cipher = cipher
        self._number_hash = number_hash

    def call(self, opening: CallOpening, passed_on: str | None = None) -> dict[str, Any]:
        """``passed_on``: why the AI does not take it, where it does not."""
        return {
            "call_sid": opening.call_sid,
            "account_sid": opening.account_sid,
            "tenant": opening.tenant,
            "entry": opening.entry,
            "side": "ai" if passed_on is None else "today",
            "side_reason": opening.side_reason if passed_on is None else passed_on,
            "caller_hash": self._number_hash(opening.from_number),
            "caller": self._cipher.encrypt(opening.from_number),
            "called": opening.to_number,
            "started_at": opening.started_at,
            "day": int(opening.started_at // DAY_S),
        }

    def hop(self, opened: CallOpening, idempotency_key: str | None) -> dict[str, Any]:
        return {
            "call_sid": opened.call_sid,
            "hop": opened.hop,
            "idempotency_key": idempotency_key,
            "used": opened.entry == "bin",
            "opened_at": opened.started_at,
            "opening": self._cipher.encrypt_json(asdict(opened)),
        }

    def decision(self, decision: StoredDecision) -> dict[str, Any]:
        confidence = decision.envelope.get("confidence")
        return {
            "call_sid": decision.call_sid,
            "hop": decision.hop,
            "route": decision.route,
            "intent": decision.intent,
            "reason": decision.reason,
            "confidence": confidence if isinstance(confidence, int | float) else None,
            "decided_at": decision.decided_at,
            "twiml": self._cipher.encrypt(decision.twiml),
            "decision": self._cipher.encrypt_json(decision.decision),
            "envelope": self._cipher.encrypt_json(decision.envelope),
        }

    def report(self, report: HandoverReport) -> dict[str, Any]:
        return {
            "call_sid": report.call_sid,
            "hop": report.hop,
            "key": report.key,
            "status": report.status,
            "at": report.at,
            "twiml": self._cipher.encrypt(report.twiml),
            "fields": self._cipher.encrypt_json(report.fields),
        }

    def read_opening(self, stored: str) -> CallOpening:
        """Of the column ``hops.opening``."""
        return CallOpening(**self._cipher.decrypt_json(stored))

    def read_decision(self, row: Row[Any]) -> StoredDecision:
        return StoredDecision(
            call_sid=row.call_sid,
            hop=row.hop,
            route=row.route,
            intent=row.intent,
            reason=row.reason,
            twiml=self._cipher.decrypt(row.twiml),
            decided_at=row.decided_at,
            decision=self._cipher.decrypt_json(row.decision),
            envelope=self._cipher.decrypt_json(row.envelope),
        )

    def read_report(self, row: Row[Any]) -> HandoverReport:
        return HandoverReport(
            call_sid=row.call_sid,
            hop=row.hop,
            key=row.key,
            status=row.status,
            at=row.at,
            twiml=self._cipher.decrypt(row.twiml),
            fields=self._cipher.decrypt_json(row.fields),
        )
