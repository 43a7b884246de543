"""Where Twilio reports how a handover goes: addresses of ours, one set for each step of a hop.

Step 0 is the route that was decided, step 1 what follows when it failed, and so on.
"""

from __future__ import annotations

from bridge.origin import Origin
from bridge.studio_flow import naming
from bridge.web.documents import RETRIED
from dispatch.twiml import CallbackUrls

CALLBACK_NAMES = ("action", "whisper", "accept", "recording", "transcription")


def callback_urls(
    origin: Origin, call_sid: str, hop: int, step: int = 0, *, flow_sid: str | None
) -> CallbackUrls:
    """``flow_sid``: the Studio flow that waits for the call. Of all these only the action decides
    where the call goes, and has to know it when the ledger does not answer."""

    def url(name: str) -> str:
        return origin.url(f"/call/{call_sid}/{hop}/{step}/{name}")

    action, whisper, accept, recording, transcription = map(url, CALLBACK_NAMES)
    action += naming(flow_sid) + RETRIED
    return CallbackUrls(action, whisper, accept, recording, transcription)
