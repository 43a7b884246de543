"""A simulated Twilio: places calls, runs TwiML, streams media, answers REST."""

from loadtest.twilio.audio import Clip, noise_frames
from loadtest.twilio.call import CallLeg
from loadtest.twilio.faults import StreamFaults
from loadtest.twilio.fittings import Carrier, Fittings, Listener, Sink
from loadtest.twilio.notices import Code, Notice, Severity
from loadtest.twilio.origins import Origins
from loadtest.twilio.outcomes import (
    CallerHungUp,
    CompletedByRest,
    Dialled,
    DocumentError,
    FellOffTheEnd,
    FlexTask,
    Hangup,
    Outcome,
    Queued,
    Rejected,
    StudioReturn,
    StudioTrigger,
    Voicemail,
)
from loadtest.twilio.pacing import Lateness, PacingWheel
from loadtest.twilio.people import Agent, Callee
from loadtest.twilio.platform import SimulatedTwilio
from loadtest.twilio.recorder import Recording
from loadtest.twilio.result import BargeIn, CallResult, Turn
from loadtest.twilio.script import (
    CallScript,
    HangUp,
    InterruptAfterMs,
    Press,
    SendRaw,
    Speak,
    StayOnLine,
    Step,
    WaitFor,
    WaitForStream,
    WaitMs,
    WaitUntilAssistantSilent,
)
from loadtest.twilio.settings import PhoneNumber, Settings
from loadtest.twilio.signature import Signing
from loadtest.twilio.stream_report import StreamEnd, StreamReport
from loadtest.twilio.timeline import CallEvent, Observer
from loadtest.twilio.webhooks import Answer, WebhookCall

__all__ = [
    "Agent",
    "Answer",
    "BargeIn",
    "CallEvent",
    "CallLeg",
    "CallResult",
    "CallScript",
    "Callee",
    "CallerHungUp",
    "Carrier",
    "Clip",
    "Code",
    "CompletedByRest",
    "Dialled",
    "DocumentError",
    "FellOffTheEnd",
    "Fittings",
    "FlexTask",
    "HangUp",
    "Hangup",
    "InterruptAfterMs",
    "Lateness",
    "Listener",
    "Notice",
    "Observer",
    "Origins",
    "Outcome",
    "PacingWheel",
    "PhoneNumber",
    "Press",
    "Queued",
    "Recording",
    "Rejected",
    "SendRaw",
    "Settings",
    "Severity",
    "Signing",
    "SimulatedTwilio",
    "Sink",
    "Speak",
    "StayOnLine",
    "Step",
    "StreamEnd",
    "StreamFaults",
    "StreamReport",
    "StudioReturn",
    "StudioTrigger",
    "Turn",
    "Voicemail",
    "WaitFor",
    "WaitForStream",
    "WaitMs",
    "WaitUntilAssistantSilent",
    "WebhookCall",
    "noise_frames",
]
