"""Where Twilio reports how a handover goes: addresses of ours, one set for each step of a hop.

Step 0 is the route that was decided, step 1 what follows when it failed, and so on.
"""

from __future__ import annotations

from bridge.origin import Origin
from bridge.web.documents import RETRIED
from dispatch.twiml import CallbackUrls

CALLBACK_NAMES = ("action", "whisper", "accept", "recording", "transcription")


def callback_urls(origin: Origin, call_sid: str, hop: int, step: int = 0) -> CallbackUrls:
    def url(name: str) -> str:
        return origin.url(f"/call/{call_sid}/{hop}/{step}/{name}")

    action, whisper, accept, recording, transcription = map(url, CALLBACK_NAMES)
    return CallbackUrls(action + RETRIED, whisper, accept, recording, transcription)
