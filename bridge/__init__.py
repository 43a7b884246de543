"""triage-bridge.

Twilio Media Streams to the OpenAI Realtime API, and the call on to Studio or Flex.
"""

__version__ = "0.1.0"
