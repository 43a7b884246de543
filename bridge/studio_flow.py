"""Which Studio flow waits for a call: named in the query of the addresses that Twilio asks.

They are signed, and known without the ledger: where that gives no answer, this alone says where a
call goes back to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FLOW_PARAMETER = "flow"
_FLOW_SID = re.compile(r"FW[0-9a-fA-F]{32}", re.ASCII)


def flow_in(parameters: Mapping[str, str]) -> str | None:
    """The flow that a query, or the start of a stream, names; None if that is no flow's SID."""
    flow = parameters.get(FLOW_PARAMETER, "")
    return flow if _FLOW_SID.fullmatch(flow) else None


def naming(flow_sid: str | None) -> str:
    """The query behind an address of ours; empty where no flow waits."""
    return "" if flow_sid is None else f"?{FLOW_PARAMETER}={flow_sid}"
